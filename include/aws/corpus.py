"""The corpora of an account: what the newest one was made from, and what has come since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from include.aws.corpus_inputs import (
    InputListing,
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
from include.recipes.corpus_version import corpus_version
from include.settings import Settings

_EXAMPLES = 10
_LEFT_OUT_LIMIT = 50


@dataclass(frozen=True)
class KnownCorpus:
    """The newest published corpus: its manifest, and the request that made it."""

    manifest: ParentRef
    request: CorpusRequest


def newest_corpus(settings: Settings) -> KnownCorpus | None:
    """None before the first corpus, and while the newest is built anew."""
    store = ObjectStore()
    pointer = latest_corpus(settings.storage.processed_bucket)
    if not store.exists(pointer):
        return None
    uri = S3Uri.parse(store.read_record(ParentRef, pointer).uri)
    if not store.exists(uri):  # `force` took it away, and its jobs have not ended yet
        return None
    # not by the pointer's hash: a corpus that was built anew is another manifest of the same inputs
    reference = store.reference(uri)
    parent = store.read_record(CorpusManifest, uri, reference.sha256).request
    request = store.read_record(CorpusRequest, S3Uri.parse(parent.uri), parent.sha256)
    return KnownCorpus(reference, request)


def inputs_of_latest(settings: Settings) -> tuple[RawShard, ...]:
    """Shards of the newest published corpus; none where there is no such corpus."""
    known = newest_corpus(settings)
    return known.request.shards if known else ()


def find_new_shards(source: S3Uri, settings: Settings) -> tuple[int, list[str]]:
    """How many shards under ``source`` the newest corpus does not know, and the first names."""
    listing = split_inputs(ObjectStore().list(source))
    fresh = new_shards(listing, inputs_of_latest(settings))
    return len(fresh), [shard.uri for shard in fresh[:_EXAMPLES]]


@dataclass(frozen=True)
class CorpusPlan:
    """What one run of corpus_refresh will do, with the code at ``code_uri``.

    ``shards`` and ``size_bytes`` are those to be read; with ``extends``, the manifest of an earlier
    version, they are what has come since. ``left_out`` names objects that are no shards.
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
    extends: str = ""


def plan_corpus(
    settings: Settings,
    source: S3Uri,
    recipe: CorpusRecipe,
    *,
    force: bool,
    dry_run: bool,
    extend: bool = False,
) -> CorpusPlan:
    """Resolve inputs and version, and write the CorpusRequest unless the version exists.

    ``extend`` builds on the newest version where that is possible: new shards alone are then read.
    ``force`` takes the manifest and the stage reports of an existing version away, so that the jobs
    do their work again. InputError when there are no shards, a file that the recipe names is
    missing, or the code was never uploaded.
    """
    store = ObjectStore()
    listing = require_shards(split_inputs(store.list(source)), source)
    artifacts = store.read_record(ArtifactsManifest, settings.storage.artifacts / "artifacts.json")
    references = {uri: store.head(S3Uri.parse(uri)).etag for uri in recipe.references}
    known = newest_corpus(settings) if extend and not force else None
    basis = basis_of(known, listing, recipe, artifacts.sources_sha256, references)
    inputs, base = basis.inputs, basis.base
    version = corpus_version(inputs, recipe, artifacts.sources_sha256, references, base)
    place = CorpusPlace.of(settings.storage.processed_bucket, version)
    exists = store.exists(place.manifest)
    if exists and force:
        exists = False
        if not dry_run:
            store.delete(place.manifest)
            store.delete(place.stages)
    if not exists and not dry_run:
        request = CorpusRequest(
            version,
            inputs,
            to_plain(recipe),
            artifacts.sources_sha256,
            str(place.root),
            base,
            basis.earlier_inputs,
            references,
        )
        store.write_record(place.request, request)
    return CorpusPlan(
        version=version,
        exists=exists,
        root_uri=str(place.root),
        request_uri=str(place.request),
        manifest_uri=str(place.manifest),
        code_uri=str(settings.storage.artifacts / artifacts.code_folder),
        shards=len(inputs),
        size_bytes=sum(shard.size_bytes for shard in inputs),
        left_out=listing.left_out[:_LEFT_OUT_LIMIT],
        extends=base.uri if base else "",
    )


@dataclass(frozen=True)
class Basis:
    """The shards to read, the version to extend by them, and what that one holds."""

    inputs: tuple[RawShard, ...]
    base: ParentRef | None = None
    earlier_inputs: tuple[tuple[RawShard, ...], ...] = ()


def basis_of(
    known: KnownCorpus | None,
    listing: InputListing,
    recipe: CorpusRecipe,
    sources_sha256: str,
    references: Mapping[str, str],
) -> Basis:
    """What a new version of these shards is made from.

    A version can be extended by the same recipe, the same files that it names, and the same code, while every
    shard that it holds is still there unchanged. The newest version of exactly these shards is itself the one
    that is wanted.
    """
    if (
        known is None
        or known.request.recipe != to_plain(recipe)
        or known.request.sources_sha256 != sources_sha256
        or known.request.references != dict(references)
    ):
        return Basis(listing.shards)
    newest = known.request
    there, held = set(listing.shards), set(newest.shards)
    fresh = new_shards(listing, newest.shards)
    replaced = {shard.uri for shard in fresh} & {shard.uri for shard in held}
    if not held <= there or replaced:
        return Basis(listing.shards)
    if fresh:
        return Basis(fresh, known.manifest, newest.all_inputs)
    return Basis(newest.inputs, newest.base, newest.earlier_inputs)


def is_announced(place: CorpusPlace, manifest: ParentRef) -> bool:
    """Whether this version, as it is, was noted as published before."""
    store = ObjectStore()
    return store.exists(place.announced) and store.read_record(ParentRef, place.announced) == manifest


def note_published(settings: Settings, place: CorpusPlace, manifest: ParentRef) -> None:
    """Remember it as the newest published corpus, with which S3NewShardsSensor compares, and as announced."""
    store = ObjectStore()
    store.write_record(latest_corpus(settings.storage.processed_bucket), manifest)
    store.write_record(place.announced, manifest)
