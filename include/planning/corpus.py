"""Plans corpus_refresh: inputs, code and version of a corpus, and the version that it extends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from include.contracts.manifests import CorpusRequest, ParentRef, RawShard
from include.contracts.records import to_plain
from include.contracts.shard_names import parted
from include.contracts.storage import CorpusLayout, S3Uri
from include.object_store import ObjectStore
from include.planning.corpus_inputs import InputListing, gone_shards, new_shards, require_shards, split_inputs
from include.planning.job_code import newest_code
from include.planning.published import KnownCorpus, latest_corpus, newest_corpus
from include.recipes.corpus import CorpusRecipe
from include.recipes.corpus_version import corpus_version
from include.settings import Settings

_LEFT_OUT_LIMIT = 50


@dataclass(frozen=True)
class CorpusPlan:
    """The plan of one run of corpus_refresh, with the code at ``code_uri``.

    ``shards`` and ``size_bytes`` are those to be read; with ``extends``, the manifest of an earlier
    version, they are what has come since; else ``read_whole_because`` says why not. ``left_out`` names
    objects that are no shards, and ``more_left_out`` counts those that are not named. ``latest_uri`` is
    where the version is noted once it is published.
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
    more_left_out: int
    latest_uri: str
    extends: str = ""
    read_whole_because: str = ""


def plan_corpus(
    settings: Settings,
    source: S3Uri,
    recipe: CorpusRecipe,
    *,
    force: bool,
    dry_run: bool,
    extend: bool = False,
    claim: Callable[[S3Uri], None] | None = None,
) -> CorpusPlan:
    """Resolve inputs and version, and write the CorpusRequest unless the version exists.

    ``extend`` builds on the newest version where that is possible: only new shards are then read. ``force``
    deletes the manifest, the stage reports and the unfinished work of a version, so that the jobs do all of
    it again. Raises InputError when there are no shards, when a file that the recipe names is missing, or
    when the code was never uploaded.

    :param claim: called with the address of the version's claim before anything is written; it raises when
        another run builds the version
    """
    store = ObjectStore()
    listing = require_shards(split_inputs(store.list(source.folder), source.folder.key), source.folder)
    artifacts = newest_code(settings.storage.artifacts)
    references = {uri: store.stat(S3Uri.parse(uri)).etag for uri in recipe.references}
    latest = latest_corpus(settings, source, recipe)
    if extend and not force:
        basis = basis_of(newest_corpus(latest), listing, artifacts.sources_sha256, references)
    else:
        basis = Basis(listing.shards, why_whole="`force` is set" if force else "`extend_newest` is off")
    inputs, base = basis.inputs, basis.base
    version = corpus_version(inputs, recipe, artifacts.sources_sha256, references, base)
    layout = CorpusLayout.of(settings.storage.processed_bucket, version)
    exists = store.exists(layout.manifest) and not force
    if not exists and not dry_run:
        request = CorpusRequest(
            version,
            inputs,
            to_plain(recipe),
            artifacts.sources_sha256,
            str(layout.root),
            base,
            basis.earlier_inputs,
            references,
        )
        if claim:
            claim(layout.claim)
        if force:
            _delete_work(store, layout)
        store.write_record(layout.request, request)
    return CorpusPlan(
        version=version,
        exists=exists,
        root_uri=str(layout.root),
        request_uri=str(layout.request),
        manifest_uri=str(layout.manifest),
        code_uri=str(settings.storage.artifacts / artifacts.code_folder),
        shards=len(inputs),
        size_bytes=sum(shard.size_bytes for shard in inputs),
        left_out=listing.left_out[:_LEFT_OUT_LIMIT],
        more_left_out=len(listing.left_out[_LEFT_OUT_LIMIT:]),
        latest_uri=str(latest),
        extends=base.uri if base else "",
        read_whole_because="" if exists else basis.why_whole,
    )


def _delete_work(store: ObjectStore, layout: CorpusLayout) -> None:
    """Delete the results by which jobs skip their work. The manifest is last, so that a retry sees it."""
    store.delete_folder(layout.stages)
    store.delete_folder(layout.work)
    store.delete(layout.manifest)


@dataclass(frozen=True)
class Basis:
    """The shards to read, the version to extend by them, and what that one holds; or why there is none."""

    inputs: tuple[RawShard, ...]
    base: ParentRef | None = None
    earlier_inputs: tuple[tuple[RawShard, ...], ...] = ()
    why_whole: str = ""


def basis_of(
    known: KnownCorpus | None,
    listing: InputListing,
    sources_sha256: str,
    references: Mapping[str, str],
) -> Basis:
    """Decide what a new version of these shards is made from; ``known`` is the newest by the same recipe.

    It is extended if the code is the same, the files that the recipe names and every shard that it holds are
    unchanged, and no new shard is the other half of one of them. If it holds exactly these shards, it is
    itself the result.
    """
    if known is None:
        return Basis(listing.shards, why_whole="no whole version of this source and recipe is published")
    newest = known.request
    if why := _difference(newest, listing, sources_sha256, references):
        return Basis(listing.shards, why_whole=f"{newest.version} is not extended: {why}")
    fresh = new_shards(listing, newest.shards)
    if fresh:
        return Basis(fresh, known.manifest, newest.all_inputs)
    return Basis(newest.inputs, newest.base, newest.earlier_inputs)


def _difference(
    newest: CorpusRequest,
    listing: InputListing,
    sources_sha256: str,
    references: Mapping[str, str],
) -> str:
    """Return what else than new shards has changed since the newest version, or '' for nothing."""
    if files := {uri for uri, _ in newest.references.items() ^ references.items()}:
        return f"files of the recipe have changed: {', '.join(sorted(files))}"
    if newest.sources_sha256 != sources_sha256:
        return "the code of the jobs has changed"
    there = {shard.uri: shard for shard in listing.shards}
    if changed := [shard.uri for shard in newest.shards if there.get(shard.uri, shard) != shard]:
        return f"{len(changed)} of its shards have changed, such as {min(changed)}"
    if gone := [shard.uri for shard in gone_shards(listing, newest.shards)]:
        return f"{len(gone)} of its shards are gone, such as {min(gone)}"
    fresh = [shard.uri for shard in new_shards(listing, newest.shards)]
    if late := parted(fresh, [shard.uri for shard in newest.shards]):
        return f"it holds the documents or quality signals of {len(late)} new shards, such as {late[0]}"
    return ""
