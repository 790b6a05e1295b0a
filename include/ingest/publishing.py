"""Move a shard from staging to its final key, or to the quarantine with a note."""

from __future__ import annotations

from datetime import UTC, datetime

from include.contracts.ingestion import BatchRequest, QuarantineNote, Shard
from include.contracts.storage import IngestionLayout, S3Uri
from include.ingest.errors import ShardMismatch
from include.ingest.verification import Digests, published
from include.object_store import ObjectStore


def shard_metadata(shard: Shard, batch: BatchRequest, digests: Digests, etag: str) -> dict[str, str]:
    """Return the metadata stored with a shard; ``sha256`` among it shows that ingestion verified the shard.

    ``etag`` is the server's name of the version, '' where it gave none.
    """
    optional = {"md5": digests.md5, "source-etag": etag}
    return {
        "sha256": digests.sha256,
        **{name: value for name, value in optional.items() if value},
        "published-checksum": published(shard),
        "source": batch.source,
        "source-url": shard.url,
        "licence": batch.licence,
        "retrieved-at": now(),
        "run": batch.run,
    }


def publish(
    store: ObjectStore, staged: S3Uri, target: S3Uri, digests: Digests, metadata: dict[str, str]
) -> None:
    """Copy exactly the verified bytes inside S3; the shard appears complete and at once."""
    store.copy(staged, target, digests.etag, metadata)


def quarantine(
    store: ObjectStore,
    found: S3Uri,
    shard: Shard,
    source: str,
    mismatch: ShardMismatch,
    digests: Digests | None,
) -> S3Uri:
    """Move the bytes to where no reader looks, and write a note of what was expected; return the note."""
    place = IngestionLayout(found.bucket)
    note = place.note(source, shard.name)
    if digests is not None:
        metadata = {"sha256": digests.sha256, "source": source, "source-url": shard.url}
        publish(store, found, place.quarantine(source, shard.name), digests, metadata)
        store.delete(found)
    record = QuarantineNote(
        source=source,
        name=shard.name,
        url=shard.url,
        what=mismatch.what,
        expected=mismatch.expected,
        got=mismatch.got,
        size_bytes=digests.size_bytes if digests else 0,
        sha256=digests.sha256 if digests else "",
        retrieved_at=now(),
    )
    store.write_record(note, record)
    return note


def now() -> str:
    """Return the time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
