"""Records of the shards that were announced to the consumers of raw_shards, kept with the shards."""

from __future__ import annotations

from include.contracts.ingestion import AnnouncedShards, IngestionManifest, ShardState
from include.contracts.storage import IngestionLayout, S3Uri
from include.object_store import ObjectStore


def note_announcement(environment: str, manifest: IngestionManifest) -> bool:
    """Record newly announced shards. Return True if there are any.

    New are shards that were never announced, also where an earlier run fetched them and could not announce
    them, and shards that this run fetched again because they were gone or had changed. A run whose task died
    after the record was written announces its shards again.
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
