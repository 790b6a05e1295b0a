"""The corpora of an account: what the newest one was made from, and what has come since."""

from __future__ import annotations

from include.aws.corpus_version import latest_corpus, new_shards, split_inputs
from include.aws.storage import ObjectStore
from include.contracts.manifests import CorpusManifest, CorpusRequest, ParentRef, RawShard
from include.contracts.storage import S3Uri
from include.settings import Settings

_EXAMPLES = 10


def inputs_of_latest(settings: Settings) -> tuple[RawShard, ...]:
    """Shards of the newest published corpus; none before the first."""
    store = ObjectStore()
    pointer = latest_corpus(settings.storage.processed_bucket)
    if not store.exists(pointer):
        return ()
    newest = store.read_record(ParentRef, pointer)
    manifest = store.read_record(CorpusManifest, S3Uri.parse(newest.uri), newest.sha256)
    request = store.read_record(CorpusRequest, S3Uri.parse(manifest.request.uri), manifest.request.sha256)
    return request.inputs


def find_new_shards(source: S3Uri, settings: Settings) -> tuple[int, list[str]]:
    """How many shards under ``source`` the newest corpus does not know, and the first names."""
    listing = split_inputs(ObjectStore().list(source))
    fresh = new_shards(listing, inputs_of_latest(settings))
    return len(fresh), [shard.uri for shard in fresh[:_EXAMPLES]]
