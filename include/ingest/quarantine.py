"""Move a shard that is not as published to the quarantine, with a note."""

from __future__ import annotations

from include.contracts.ingestion import QuarantineNote, Shard
from include.contracts.storage import IngestionLayout, S3Uri
from include.ingest.errors import ShardMismatch
from include.ingest.publishing import now, publish
from include.ingest.verification import Digests
from include.object_store import ObjectStore


def quarantine(
    store: ObjectStore,
    found: S3Uri,
    shard: Shard,
    source: str,
    mismatch: ShardMismatch,
    digests: Digests | None,
) -> S3Uri:
    """Move the bytes to where no reader looks, and write a note of what was expected; return the note."""
    layout = IngestionLayout(found.bucket)
    note = layout.note(source, shard.name)
    if digests is not None:
        metadata = {"sha256": digests.sha256, "source": source, "source-url": shard.url}
        publish(store, found, layout.quarantine(source, shard.name), digests, metadata)
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
