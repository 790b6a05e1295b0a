"""Corpora that were published: the newest one, the shards it holds, and whether it was announced."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from include.contracts.manifests import Announcement, CorpusManifest, CorpusRequest, ParentRef, RawShard
from include.contracts.records import canonical_json, content_hash
from include.contracts.storage import CorpusLayout, S3Uri
from include.object_store import ObjectStore
from include.planning.corpus_inputs import gone_shards, new_shards, split_inputs
from include.recipes.corpus import CorpusRecipe

_EXAMPLES = 10


def latest_corpus(processed_bucket: str, source: S3Uri, recipe: CorpusRecipe) -> S3Uri:
    """Where corpus_refresh notes the newest published manifest (a ParentRef) of a source and recipe.

    A recipe with overrides keeps its name, and is another one: the hash of its values tells them apart.
    """
    folder, values = source.folder, content_hash(canonical_json(recipe))[:8]
    key = f"corpus/latest/{folder.bucket}/{folder.key}{recipe.name}-{values}.json"
    return S3Uri(processed_bucket, key)


@dataclass(frozen=True)
class KnownCorpus:
    """The newest published corpus: its manifest, and the request that made it."""

    manifest: ParentRef
    request: CorpusRequest


def newest_corpus(latest: S3Uri) -> KnownCorpus | None:
    """What ``latest`` points to; None before the first corpus, and while the newest is built anew."""
    store = ObjectStore()
    if not store.exists(latest):
        return None
    uri = S3Uri.parse(store.read_record(ParentRef, latest).uri)
    if not store.exists(uri):  # `force` took it away, and its jobs have not ended yet
        return None
    # not by the pointer's hash: a corpus that was built anew is another manifest of the same inputs
    manifest, reference = store.referenced_record(CorpusManifest, uri)
    parent = manifest.request
    request = store.read_record(CorpusRequest, S3Uri.parse(parent.uri), parent.sha256)
    return KnownCorpus(reference, request)


def inputs_of_latest(latest: S3Uri) -> tuple[RawShard, ...]:
    """Shards of the newest published corpus; none where there is no such corpus."""
    known = newest_corpus(latest)
    return known.request.shards if known else ()


@dataclass(frozen=True)
class ShardNews:
    """URIs of shards that the newest corpus does not hold, and of those that it holds and that are gone."""

    new: tuple[str, ...]
    gone: tuple[str, ...]

    @property
    def summary(self) -> dict[str, Any]:
        """``{"new_shards", "examples", "gone_shards"}``: counts, and the first names."""
        return {
            "new_shards": len(self.new),
            "examples": list(self.new[:_EXAMPLES]),
            "gone_shards": len(self.gone),
        }


def shard_news(source: S3Uri, latest: S3Uri) -> ShardNews:
    """What lies in ``source`` against the corpus that ``latest`` points to."""
    listing, held = split_inputs(ObjectStore().list(source.folder)), inputs_of_latest(latest)
    return ShardNews(
        tuple(shard.uri for shard in new_shards(listing, held)),
        tuple(shard.uri for shard in gone_shards(listing, held)),
    )


def is_announced(place: CorpusLayout, manifest: ParentRef, run: str) -> bool:
    """Whether another run than ``run`` noted this version, as it is, as published.

    Its own note is no proof: the event is sent after it, by a task that may have died in between.
    """
    store = ObjectStore()
    if not store.exists(place.announced):
        return False
    noted = store.read_record(Announcement, place.announced)
    return ParentRef(noted.uri, noted.sha256) == manifest and noted.run != run


def note_published(latest: S3Uri, place: CorpusLayout, manifest: ParentRef, run: str) -> None:
    """Remember it as the newest published corpus, with which S3NewShardsSensor compares, and as announced."""
    store = ObjectStore()
    store.write_record(latest, manifest)
    store.write_record(place.announced, Announcement(manifest.uri, manifest.sha256, run))
