"""Which shards the consumers of raw_shards were told of: kept beside them, as no run says so by itself."""

from __future__ import annotations

from include.contracts.ingestion import AnnouncedShards, IngestionManifest, ShardState
from include.contracts.storage import IngestionLayout, S3Uri
from include.object_store import ObjectStore


def note_announcement(environment: str, manifest: IngestionManifest) -> bool:
    """Note what the run has to tell; whether that is anything.

    That is what nobody was told of, also where an earlier run fetched it and could not announce it, and what
    this run fetched: between, it was gone or another. A run whose task died after the note tells it again.
    """
    target = S3Uri.parse(manifest.target_uri)
    store, uri = ObjectStore(), IngestionLayout(target.bucket).announced(environment, target)
    known = store.read_record(AnnouncedShards, uri) if store.exists(uri) else AnnouncedShards("", {})
    news = {
        shard.name: shard.sha256
        for shard in manifest.shards
        if shard.state is ShardState.FETCHED or known.shards.get(shard.name) != shard.sha256
    }
    if not news:
        return known.run == manifest.run
    store.write_record(uri, AnnouncedShards(manifest.run, {**known.shards, **news}))
    return True
