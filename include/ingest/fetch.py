"""Fetches one shard: assembles it in staging, verifies the object in S3, then publishes it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from include.contracts.errors import NexusError
from include.contracts.ingestion import BatchRequest, Shard, ShardOutcome, ShardState
from include.contracts.storage import S3Uri
from include.ingest.assemble import Assembly, Tally
from include.ingest.backoff import Patience, Sleep, persist
from include.ingest.errors import ShardMismatch, SourceRefused, SourceUnavailable, plain
from include.ingest.pace import Pace
from include.ingest.publishing import publish, shard_metadata
from include.ingest.quarantine import quarantine
from include.ingest.source_client import SourceClient
from include.ingest.staging import StagedUpload
from include.ingest.verification import (
    Digests,
    check,
    digests_of,
    is_as_published,
    is_pinned_etag,
    published,
    wants_md5,
)
from include.object_store import ObjectStore
from include.recipes.source import Politeness

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fetcher:
    """A fetcher of the shards of one batch over one connection."""

    store: ObjectStore
    client: SourceClient
    politeness: Politeness
    batch: BatchRequest
    part_bytes: int
    sleep: Sleep = time.sleep

    def fetch(self, shard: Shard) -> ShardOutcome:
        """Fetch a shard and return its outcome. An unexpected error does not stop the other shards."""
        target = S3Uri.parse(self.batch.target_uri) / shard.name
        tally = Tally()
        try:
            if (existing := self._existing(shard, target)) is not None:
                state, size_bytes, sha256 = existing
                if state is ShardState.FETCHED:  # by a try that may have died before it cleaned up
                    StagedUpload(self.store, target, shard.url, self.part_bytes).discard()
                return self._outcome(shard, state, tally, size_bytes=size_bytes, sha256=sha256)
            return self._fetch(shard, target, tally)
        except ShardMismatch as error:
            return self._outcome(shard, ShardState.QUARANTINED, tally, reason=str(error))
        except SourceUnavailable as error:
            outcome = self._outcome(shard, ShardState.UNAVAILABLE, tally, reason=str(error))
            return replace(outcome, retry_after_seconds=error.retry_after_seconds)
        except SourceRefused as error:
            return self._outcome(shard, ShardState.REFUSED, tally, reason=str(error))
        except NexusError as error:  # an error of the raw bucket: a later try may succeed
            log.exception("%s: S3 failed", shard.name)
            return self._outcome(shard, ShardState.UNAVAILABLE, tally, reason=str(error))
        except Exception as error:
            log.exception("%s: failed with an unexpected error", shard.name)
            return self._outcome(shard, ShardState.REFUSED, tally, reason=_unforeseen(error))

    def _fetch(self, shard: Shard, target: S3Uri, tally: Tally) -> ShardOutcome:
        upload = StagedUpload(self.store, target, shard.url, self.part_bytes)
        if upload.offset and not is_pinned_etag(shard, upload.validator.etag):
            upload.discard()  # an earlier try fetched it before the source named another version
        if upload.is_finished and shard.checksum is None and not self._is_current(upload, shard):
            upload.discard()
        was_finished = upload.is_finished
        digests: Digests | None = None
        try:
            if not upload.is_finished:
                patience = Patience(self.politeness, self.sleep)
                Assembly(shard, upload, self.client.open, patience, self._pace(shard), tally).run()
                upload.finish()
            digests = digests_of(self.store, upload.uri, with_md5=wants_md5(shard))
            check(shard, digests)
        except ShardMismatch as mismatch:
            if was_finished:  # by an earlier try, which may have fetched an earlier version
                upload.discard()
                return self._fetch(shard, target, tally)
            note = quarantine(self.store, upload.uri, shard, self.batch.source, mismatch, digests)
            upload.discard()
            log.error("%s is quarantined, see %s: %s", shard.name, note, mismatch)
            raise
        metadata = shard_metadata(shard, self.batch, digests, upload.validator.etag)
        publish(self.store, upload.uri, target, digests, metadata)
        upload.discard()
        log.info("%s: %.1f MB, sha256 %s", shard.name, digests.size_bytes / 1e6, digests.sha256)
        return self._outcome(
            shard, ShardState.FETCHED, tally, size_bytes=digests.size_bytes, sha256=digests.sha256
        )

    def _is_current(self, upload: StagedUpload, shard: Shard) -> bool:
        """Return True if the staged bytes may be the version that the server has; no checksum shows it.

        Where the server names no version, only the size is compared.
        """

        def ask() -> bool:
            with self.client.open(shard.url) as answer:
                return upload.validator.agrees(answer.answered.validator)

        return persist(ask, self.politeness, self.sleep)

    def _pace(self, shard: Shard) -> Callable[[], Pace]:
        return partial(Pace, shard.name, shard.url, self.politeness)

    def _existing(self, shard: Shard, target: S3Uri) -> tuple[ShardState, int, str] | None:
        """Return state, size and SHA-256 of the shard if it is there as promised; None if it must be fetched.

        A shard that an earlier try of this run fetched counts as fetched, so that the run announces it.
        """
        found = self.store.find(target)
        if found is None:
            return None
        size, metadata = found.size_bytes, found.metadata
        md5 = metadata.get("md5", "")
        if "sha256" not in metadata or metadata.get("source") != self.batch.source:
            raise SourceRefused(
                "an object is there that ingestion did not write",
                where=str(target),
                expected=f"a shard of {self.batch.source}, or nothing",
                remedy="move it away, or give another target_prefix",
            )
        if self.batch.verify_existing:
            digests = digests_of(self.store, target, with_md5=wants_md5(shard))
            if digests.sha256 != metadata["sha256"]:
                damage = ShardMismatch(
                    "the shard was changed after ingestion wrote it",
                    where=str(target),
                    expected=f"sha256 {metadata['sha256']}",
                    got=f"sha256 {digests.sha256}",
                )
                note = quarantine(self.store, target, shard, self.batch.source, damage, digests)
                log.error("%s; moved away, see %s; fetched again", damage, note)
                return None
            md5 = digests.md5
        known = {"sha256": metadata["sha256"], "md5": md5, "etag": metadata.get("source-etag", "")}
        if not is_as_published(shard, size, known):
            log.warning("%s: its source has another version now, fetched again", shard.name)
            return None
        log.info("%s: there already, %.1f MB, skipped", shard.name, size / 1e6)
        state = ShardState.FETCHED if metadata.get("run") == self.batch.run else ShardState.PRESENT
        return state, size, metadata["sha256"]

    def _outcome(
        self,
        shard: Shard,
        state: ShardState,
        tally: Tally,
        *,
        size_bytes: int = 0,
        sha256: str = "",
        reason: str = "",
    ) -> ShardOutcome:
        return ShardOutcome(
            name=shard.name,
            url=shard.url,
            state=state,
            size_bytes=size_bytes,
            sha256=sha256,
            published=published(shard),
            received_bytes=tally.received_bytes,
            discarded_bytes=tally.discarded_bytes,
            resumes=tally.resumes,
            restarts=tally.restarts,
            reason=reason,
        )


def _unforeseen(error: Exception) -> str:
    return f"{type(error).__name__}: {plain(str(error))}"
