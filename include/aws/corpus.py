"""The corpora of an account: what the newest one was made from, and what has come since."""

from __future__ import annotations

from dataclasses import dataclass

from include.aws.corpus_version import (
    corpus_version,
    latest_corpus,
    new_shards,
    require_shards,
    split_inputs,
)
from include.aws.storage import ObjectStore
from include.contracts.artifacts import ArtifactsManifest
from include.contracts.manifests import CorpusManifest, CorpusRequest, ParentRef, RawShard
from include.contracts.records import to_plain
from include.contracts.storage import CorpusPlace, S3Uri
from include.recipes.corpus import CorpusRecipe
from include.settings import Settings

_EXAMPLES = 10
_LEFT_OUT_LIMIT = 50


def inputs_of_latest(settings: Settings) -> tuple[RawShard, ...]:
    """Shards of the newest published corpus; none before the first, nor while that one is built anew."""
    store = ObjectStore()
    pointer = latest_corpus(settings.storage.processed_bucket)
    if not store.exists(pointer):
        return ()
    newest = store.read_record(ParentRef, pointer)
    if not store.exists(S3Uri.parse(newest.uri)):  # `force` took it away, and its jobs have not ended yet
        return ()
    # not by its hash: a corpus that was built anew is another manifest of the same inputs
    manifest = store.read_record(CorpusManifest, S3Uri.parse(newest.uri))
    request = store.read_record(CorpusRequest, S3Uri.parse(manifest.request.uri), manifest.request.sha256)
    return request.inputs


def find_new_shards(source: S3Uri, settings: Settings) -> tuple[int, list[str]]:
    """How many shards under ``source`` the newest corpus does not know, and the first names."""
    listing = split_inputs(ObjectStore().list(source))
    fresh = new_shards(listing, inputs_of_latest(settings))
    return len(fresh), [shard.uri for shard in fresh[:_EXAMPLES]]


@dataclass(frozen=True)
class CorpusPlan:
    """What one run of corpus_refresh will do, with the code at ``code_uri``.

    ``left_out`` names objects that are no shards.
    """

    version: str
    exists: bool
    root_uri: str
    request_uri: str
    manifest_uri: str
    code_uri: str
    shards: int
    size_bytes: int
    left_out: tuple[str, ...]


def plan_corpus(
    settings: Settings, source: S3Uri, recipe: CorpusRecipe, *, force: bool, dry_run: bool
) -> CorpusPlan:
    """Resolve inputs and version, and write the CorpusRequest unless the version exists.

    ``force`` takes the manifest and the stage reports of an existing version away, so that the jobs
    do their work again. InputError when there are no shards, no such tokenizer, or the code was
    never uploaded.
    """
    store = ObjectStore()
    listing = require_shards(split_inputs(store.list(source)), source)
    artifacts = store.read_record(ArtifactsManifest, settings.storage.artifacts / "artifacts.json")
    tokenizer = recipe.tokenizer.uri
    tokenizer_etag = store.head(S3Uri.parse(tokenizer)).etag if tokenizer else ""
    version = corpus_version(listing.shards, recipe, artifacts.sources_sha256, tokenizer_etag)
    place = CorpusPlace.of(settings.storage.processed_bucket, version)
    exists = store.exists(place.manifest)
    if exists and force:
        exists = False
        if not dry_run:
            store.delete(place.manifest)
            store.delete(place.stages)
    if not exists and not dry_run:
        request = CorpusRequest(
            version, listing.shards, to_plain(recipe), artifacts.sources_sha256, str(place.root)
        )
        store.write_record(place.request, request)
    return CorpusPlan(
        version=version,
        exists=exists,
        root_uri=str(place.root),
        request_uri=str(place.request),
        manifest_uri=str(place.manifest),
        code_uri=str(settings.storage.artifacts / artifacts.code_folder),
        shards=len(listing.shards),
        size_bytes=sum(shard.size_bytes for shard in listing.shards),
        left_out=listing.left_out[:_LEFT_OUT_LIMIT],
    )


def note_latest(settings: Settings, manifest: ParentRef) -> None:
    """Remember the newest published corpus: what S3NewShardsSensor compares with."""
    ObjectStore().write_record(latest_corpus(settings.storage.processed_bucket), manifest)
