"""Wait for raw shards that the latest corpus was not made from."""

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
    """Fires once, with ``ShardNews.summary``; without new shards when ``deadline`` (epoch seconds) passes.

    The event is ``{"error": …}`` if access to the source is refused, or if the last look failed.

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
        """Return class path and arguments: a trigger has no other state."""
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
        """List and compare until something is new or the time is up."""
        source, latest = S3Uri.parse(self.source_uri), S3Uri.parse(self.latest_uri)
        while True:
            late = time.time() > self.deadline
            try:
                news = await asyncio.to_thread(shard_news, source, latest)
            except InputError as error:  # no later look would see more
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
