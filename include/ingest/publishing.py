"""Move a verified shard from staging to its final key."""

from __future__ import annotations

from datetime import UTC, datetime

from include.contracts.ingestion import BatchRequest, Shard
from include.contracts.storage import S3Uri
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


def now() -> str:
    """Return the time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
