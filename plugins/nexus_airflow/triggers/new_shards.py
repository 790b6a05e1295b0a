"""A trigger that waits for raw shards that are not in the latest corpus."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from include.contracts.errors import InputError
from include.contracts.storage import S3Uri
from include.object_store import StorageRefused, StorageUnavailable
from include.planning.published import ShardNews, shard_news


class NewShardsTrigger(BaseTrigger):
    """Fires once, with ``ShardNews.summary`` or, without new shards, after ``deadline`` (seconds since 1970).

    The event is ``{"error": …}`` if access to the source is refused, or if the last poll failed.

    ``latest_uri`` points to the corpus that is compared with (``planning.published.latest_corpus``).
    """

    def __init__(
        self, source_uri: str, latest_uri: str, poll_interval_seconds: float, deadline: float
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.source_uri = source_uri
        self.latest_uri = latest_uri
        self.poll_interval_seconds = poll_interval_seconds
        self.deadline = deadline

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return class path and arguments, which are all of the trigger's state."""
        return (
            "nexus_airflow.triggers.new_shards.NewShardsTrigger",
            {
                "source_uri": self.source_uri,
                "latest_uri": self.latest_uri,
                "poll_interval_seconds": self.poll_interval_seconds,
                "deadline": self.deadline,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll until there are new shards or the deadline has passed."""
        source, latest = S3Uri.parse(self.source_uri), S3Uri.parse(self.latest_uri)
        while True:
            late = time.time() > self.deadline
            try:
                news = await asyncio.to_thread(shard_news, source, latest)
            except InputError as error:  # a later poll would fail too
                yield TriggerEvent({"error": str(error)})  # type: ignore[no-untyped-call]
                return
            except (StorageUnavailable, StorageRefused) as error:
                self.log.warning("listing %s failed: %s", source, error)
                found, news = {"error": str(error)}, ShardNews((), ())
            else:
                found = news.summary
            if news.new or late:
                yield TriggerEvent(found)  # type: ignore[no-untyped-call]
                return
            await asyncio.sleep(self.poll_interval_seconds)
