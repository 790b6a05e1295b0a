"""The version that a corpus extends: its shards, its index, and its files, which are adopted as they are.

An extended version is whole: whoever reads it needs no other. What the base holds is linked or copied by
the store, never read again but for the index of its kept documents (docs/adr/0006).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, replace

from include.contracts.errors import ContractError, InputError, IntegrityError
from include.contracts.manifests import (
    CorpusManifest,
    CorpusRequest,
    FileEntry,
    ParentRef,
    RawShard,
    SubsetCounts,
)
from include.contracts.records import content_hash, from_plain, parse_json
from include.recipes.near_dedup import NearDedupRecipe
from spark_jobs import storage
from spark_jobs.place import Place
from spark_jobs.readers.shards import ROW_BITS, Shard, ordered_shards

_COPIERS = 16


@dataclass(frozen=True)
class Base:
    """A complete version, and the requests that it was made from, the oldest first."""

    place: Place
    manifest: CorpusManifest
    requests: tuple[CorpusRequest, ...]


def extension_of(corpus: str, inputs: Sequence[RawShard]) -> tuple[ParentRef, tuple[RawShard, ...]]:
    """The manifest of a complete version, and those of the shards that it does not hold."""
    uri = storage.join(corpus, "manifest.json")
    reference = ParentRef(uri, content_hash(storage.read_bytes(uri)))
    held = {shard for request in _requests(_manifest(reference)) for shard in request.inputs}
    fresh = tuple(shard for shard in inputs if shard not in held)
    if not fresh:
        raise InputError("no new shard", where=corpus, expected="a shard that this corpus does not hold")
    return reference, fresh


def load_base(request: CorpusRequest) -> Base | None:
    """The base of a request, or None. ContractError when its signatures cannot be compared with new ones."""
    if request.base is None:
        return None
    manifest = _manifest(request.base)
    requests = _requests(manifest)
    if _near_dedup(requests[-1]) != _near_dedup(request):
        raise ContractError(
            "the base was deduplicated by another recipe",
            where=f"{request.root_uri}: near_dedup",
            expected=str(_near_dedup(requests[-1])),
            got=str(_near_dedup(request)),
            remedy="take the recipe of the base, or build the corpus without it",
        )
    return Base(Place(manifest.root_uri), manifest, tuple(requests))


def _requests(manifest: CorpusManifest) -> list[CorpusRequest]:
    """The requests that a version was made from, the oldest first."""
    requests: list[CorpusRequest] = []
    parent: ParentRef | None = manifest.request
    while parent is not None:
        request = storage.read_record(CorpusRequest, parent.uri)
        requests.insert(0, request)
        parent = _manifest(request.base).request if request.base else None
    return requests


def numbered_shards(request: CorpusRequest, base: Base | None) -> list[Shard]:
    """The shards of the request, numbered after those of the base; ContractError for a name it has."""
    known = shard_names(base.requests) if base else []
    shards = ordered_shards(request.inputs, first_index=len(known))
    if twice := sorted({shard.name for shard in shards} & set(known)):
        raise ContractError(
            "the base holds a shard of this name",
            where=twice[0],
            expected="new shards",
            remedy="give the shard another name, or build the corpus without the base",
        )
    return shards


def shard_names(requests: Iterable[CorpusRequest]) -> list[str]:
    """Names by number, over the requests of a version and its bases."""
    return [shard.name for request in requests for shard in ordered_shards(request.inputs)]


def first_document(base: Base | None) -> int:
    """The smallest number that a new document can have: below it are those of the base."""
    return len(shard_names(base.requests)) << ROW_BITS if base else 0


def adopt(place: Place, base: Base, *folders: str) -> list[FileEntry]:
    """Bring the base's files of these folders of ``place`` here; what they are."""
    beginnings = tuple(f"{place.relative(folder).rstrip('/')}/" for folder in folders)
    entries = [entry for entry in base.manifest.files if entry.path.startswith(beginnings)]
    with ThreadPoolExecutor(_COPIERS) as pool:
        list(
            pool.map(
                lambda entry: storage.copy(
                    storage.join(base.place.root, entry.path), storage.join(place.root, entry.path)
                ),
                entries,
            )
        )
    return entries


def extended(own: CorpusManifest, base: CorpusManifest) -> CorpusManifest:
    """The manifest of a whole version, out of what it adds and what it holds of its base."""
    return replace(
        own,
        documents_in=base.documents_in + own.documents_in,
        documents_kept=base.documents_kept + own.documents_kept,
        documents_held_out=base.documents_held_out + own.documents_held_out,
        dropped={
            stage: _added(base.dropped.get(stage, {}), own.dropped.get(stage, {}))
            for stage in sorted({*base.dropped, *own.dropped})
        },
        tokens=base.tokens + own.tokens,
        tokens_held_out=base.tokens_held_out + own.tokens_held_out,
        subsets={
            name: _sum(base.subsets.get(name), own.subsets.get(name))
            for name in sorted({*base.subsets, *own.subsets})
        },
        shards=base.shards + own.shards,
        held_out_shards=base.held_out_shards + own.held_out_shards,
        files=tuple(sorted({*base.files, *own.files}, key=lambda entry: entry.path)),
    )


def _added(left: Mapping[str, int], right: Mapping[str, int]) -> dict[str, int]:
    return {reason: left.get(reason, 0) + right.get(reason, 0) for reason in sorted({*left, *right})}


def _sum(left: SubsetCounts | None, right: SubsetCounts | None) -> SubsetCounts:
    parts = [astuple(counts) for counts in (left, right) if counts is not None]
    return SubsetCounts(*(sum(values) for values in zip(*parts, strict=True)))


def _manifest(reference: ParentRef) -> CorpusManifest:
    content = storage.read_bytes(reference.uri)
    if (found := content_hash(content)) != reference.sha256:
        raise IntegrityError(
            "the base is not the one that was chosen",
            where=reference.uri,
            expected=f"SHA-256 {reference.sha256}",
            got=found,
            remedy="plan the corpus again",
        )
    return parse_json(CorpusManifest, content, where=reference.uri)


def _near_dedup(request: CorpusRequest) -> NearDedupRecipe:
    plain = request.recipe.get("near_dedup", {})
    return from_plain(NearDedupRecipe, plain, where=f"{request.root_uri}: recipe.near_dedup")
