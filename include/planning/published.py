"""Reads and records published corpora: the newest one, its shards, and its announcement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from include.contracts.job_names import RunIdentity
from include.contracts.manifests import Announcement, CorpusManifest, CorpusRequest, ParentRef, RawShard
from include.contracts.records import canonical_json, content_hash
from include.contracts.storage import CorpusLayout, S3Uri
from include.object_store import ObjectStore
from include.planning.corpus_inputs import gone_shards, new_shards, split_inputs
from include.recipes.corpus import CorpusRecipe
from include.settings import Settings

_EXAMPLES = 10


def latest_corpus(settings: Settings, source: S3Uri, recipe: CorpusRecipe) -> S3Uri:
    """Return where the newest manifest of a source and recipe is noted, as a ParentRef, by environment.

    A recipe with overrides keeps its name, so the hash of its values is part of the key.
    """
    folder, values = source.folder, content_hash(canonical_json(recipe))[:8]
    key = f"corpus/latest/{settings.name}/{folder.bucket}/{folder.key}{recipe.name}-{values}.json"
    return S3Uri(settings.storage.processed_bucket, key)


def newest_published(settings: Settings) -> S3Uri:
    """Return where the newest manifest of all is noted, as a ParentRef, by environment."""
    return S3Uri(settings.storage.processed_bucket, f"corpus/latest/{settings.name}.json")


def newest_manifest(settings: Settings) -> ParentRef | None:
    """Return the newest published manifest; None before the first one, and while it is rebuilt."""
    store, pointer = ObjectStore(), newest_published(settings)
    if not store.exists(pointer):
        return None
    newest = store.read_record(ParentRef, pointer)
    return newest if store.exists(S3Uri.parse(newest.uri)) else None


@dataclass(frozen=True)
class KnownCorpus:
    """The newest published corpus: its manifest, and the request that made it."""

    manifest: ParentRef
    request: CorpusRequest


def newest_corpus(latest: S3Uri) -> KnownCorpus | None:
    """Return the corpus that ``latest`` points to; None before the first one, and while it is rebuilt."""
    store = ObjectStore()
    if not store.exists(latest):
        return None
    uri = S3Uri.parse(store.read_record(ParentRef, latest).uri)
    if not store.exists(uri):  # `force` deleted it, and its jobs have not ended yet
        return None
    # not by the pointer's hash: a rebuilt corpus has another manifest of the same inputs
    manifest, reference = store.referenced_record(CorpusManifest, uri)
    parent = manifest.request
    request = store.read_record(CorpusRequest, S3Uri.parse(parent.uri), parent.sha256)
    return KnownCorpus(reference, request)


def inputs_of_latest(latest: S3Uri) -> tuple[RawShard, ...]:
    """Return the shards of the newest published corpus; none where there is no such corpus."""
    known = newest_corpus(latest)
    return known.request.shards if known else ()


@dataclass(frozen=True)
class ShardNews:
    """URIs of shards that are not in the newest corpus, and of its shards that no longer exist."""

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
    """Compare the shards in ``source`` with the corpus that ``latest`` points to."""
    listing = split_inputs(ObjectStore().list(source.folder), source.folder.key)
    held = inputs_of_latest(latest)
    return ShardNews(
        tuple(shard.uri for shard in new_shards(listing, held)),
        tuple(shard.uri for shard in gone_shards(listing, held)),
    )


def is_announced(layout: CorpusLayout, manifest: ParentRef, run: RunIdentity) -> bool:
    """Return True if another run of the same environment announced this version with this manifest.

    The run's own record is no proof, because the task may be interrupted between the record and the event.
    """
    store, uri = ObjectStore(), layout.announced(run.environment)
    if not store.exists(uri):
        return False
    noted = store.read_record(Announcement, uri)
    return ParentRef(noted.uri, noted.sha256) == manifest and noted.run != run.name


def note_published(
    settings: Settings, latest: S3Uri, layout: CorpusLayout, manifest: ParentRef, run: RunIdentity
) -> None:
    """Record the version as announced, and as the newest of its source and recipe, and of all.

    S3NewShardsSensor compares with the first, and a model_training that is started by hand takes the second.
    """
    store = ObjectStore()
    store.write_record(latest, manifest)
    store.write_record(newest_published(settings), manifest)
    announcement = Announcement(manifest.uri, manifest.sha256, run.name)
    store.write_record(layout.announced(run.environment), announcement)
