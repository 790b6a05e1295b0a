"""The version that a corpus extends: its shards, its index, and its files, which are adopted unchanged.

An extended version is complete: its readers need no other version. The store links or copies the files of the
base. Only the index of its kept documents is read (docs/adr/0006).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, replace
from typing import Any

from include.contracts.errors import ContractError, InputError, IntegrityError
from include.contracts.manifests import (
    CorpusManifest,
    CorpusRequest,
    FileEntry,
    ParentRef,
    RawShard,
    SubsetCounts,
)
from include.contracts.records import content_hash, from_plain, parse_json, to_plain
from include.contracts.shard_names import parted
from include.object_store import STORE
from include.object_store.locations import join
from include.recipes.corpus import CorpusRecipe
from spark_jobs.corpus_version.layout import VersionLayout
from spark_jobs.readers.shards import ROW_BITS, NumberedShard, all_shards

_COPIERS = 16
_PARTED = "its documents or quality signals are in the base, and would stay without it"
_TOGETHER = "documents and their quality signals in one version"


@dataclass(frozen=True)
class Base:
    """A complete version that a request builds on."""

    layout: VersionLayout
    manifest: CorpusManifest


def extending(request: CorpusRequest, corpus: str) -> CorpusRequest:
    """Return the request for the shards that a complete version does not hold, with that version as base."""
    uri = join(corpus, "manifest.json")
    reference = ParentRef(uri, content_hash(STORE.read(uri)))
    known = _request_of(_manifest(reference))
    held = set(known.shards)
    fresh = tuple(shard for shard in request.inputs if shard not in held)
    if not fresh:
        raise InputError("no new shard", where=corpus, expected="a shard that this corpus does not hold")
    if late := _parted(fresh, known.shards):
        raise InputError(_PARTED, where=late, expected=_TOGETHER, remedy="build the corpus without the base")
    return replace(request, inputs=fresh, base=reference, earlier_inputs=known.all_inputs)


def load_base(request: CorpusRequest) -> Base | None:
    """Load the base of a request; None if it has none.

    Raises ContractError if the base was made with another recipe or from other shards.
    """
    if request.base is None:
        return None
    manifest = _manifest(request.base)
    made_by = _request_of(manifest)
    _require_same_recipe(made_by, request)
    if made_by.all_inputs != request.earlier_inputs:
        raise ContractError(
            "the base does not hold the shards that the request names",
            where=f"{request.root_uri}: earlier_inputs",
            expected=f"{sum(map(len, made_by.all_inputs))} shards, as in {manifest.request.uri}",
            got=f"{sum(map(len, request.earlier_inputs))} shards",
            remedy="plan the corpus again",
        )
    return Base(VersionLayout(manifest.root_uri), manifest)


def _request_of(manifest: CorpusManifest) -> CorpusRequest:
    return STORE.read_record(CorpusRequest, manifest.request.uri)


def numbered_shards(request: CorpusRequest) -> list[NumberedShard]:
    """Return the shards of the request, numbered after those of its base.

    Raises ContractError for a shard that has changed since the base was built, or whose other half (documents
    or quality signals) is in the base.
    """
    held = [raw for group in request.earlier_inputs for raw in group]
    if late := _parted(request.inputs, held):
        raise ContractError(_PARTED, where=late, expected=_TOGETHER, remedy="plan the corpus again")
    if changed := sorted({raw.uri for raw in request.inputs} & {raw.uri for raw in held}):
        raise ContractError(
            "the base holds this shard with other bytes",
            where=changed[0],
            expected="new shards",
            remedy="build the corpus without the base",
        )
    return all_shards(request.all_inputs)[len(shard_names(request.earlier_inputs)) :]


def _parted(fresh: Iterable[RawShard], held: Iterable[RawShard]) -> str:
    """Return the first new shard whose counterpart (documents or signals) is in the base, or ''."""
    return next(iter(parted([raw.uri for raw in fresh], [raw.uri for raw in held])), "")


def shard_names(groups: Iterable[Sequence[RawShard]]) -> list[str]:
    """Return the names of the shards in the groups of CorpusRequest.all_inputs, in the order of numbers."""
    return [shard.name for shard in all_shards(groups)]


def first_document(request: CorpusRequest) -> int:
    """Return the smallest number that a new document can have. Documents of the base have lower ones."""
    return len(shard_names(request.earlier_inputs)) << ROW_BITS


def adopt(layout: VersionLayout, base: Base, *folders: str) -> list[FileEntry]:
    """Link or copy the base's files of these folders to this version. Return their entries."""
    beginnings = tuple(f"{layout.relative(folder).rstrip('/')}/" for folder in folders)
    entries = [entry for entry in base.manifest.files if entry.path.startswith(beginnings)]
    with ThreadPoolExecutor(_COPIERS) as pool:
        list(
            pool.map(
                lambda entry: STORE.copy(join(base.layout.root, entry.path), join(layout.root, entry.path)),
                entries,
            )
        )
    return entries


def extended(own: CorpusManifest, base: CorpusManifest) -> CorpusManifest:
    """Return the manifest of an extended version: its own documents and files plus those of its base."""
    return replace(
        own,
        documents_in=base.documents_in + own.documents_in,
        documents_kept=base.documents_kept + own.documents_kept,
        documents_held_out=base.documents_held_out + own.documents_held_out,
        dropped={
            stage: _added(base.dropped.get(stage, {}), own.dropped.get(stage, {}))
            for stage in sorted({*base.dropped, *own.dropped})
        },
        scrubbed=_added(base.scrubbed, own.scrubbed),
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
    content = STORE.read(reference.uri)
    if (found := content_hash(content)) != reference.sha256:
        raise IntegrityError(
            "the manifest of the base has changed since the request was made",
            where=reference.uri,
            expected=f"SHA-256 {reference.sha256}",
            got=found,
            remedy="plan the corpus again",
        )
    return parse_json(CorpusManifest, content, where=reference.uri)


def _require_same_recipe(base: CorpusRequest, request: CorpusRequest) -> None:
    """Raise ContractError if the base has another recipe, because its signatures and filters differ.

    The recipe's name has no effect, and the tokenizer is always that of the base.
    """
    ours, theirs = _deciding(request), _deciding(base)
    sections = [name for name, value in ours.items() if value != theirs[name]]
    if sections:
        raise ContractError(
            "the base was made with another recipe",
            where=f"{request.root_uri}: {', '.join(sections)}",
            expected=str({name: theirs[name] for name in sections}),
            got=str({name: ours[name] for name in sections}),
            remedy="use the recipe of the base, or build the corpus without a base",
        )


def _deciding(request: CorpusRequest) -> dict[str, Any]:
    recipe = from_plain(CorpusRecipe, request.recipe, where=f"{request.root_uri}: recipe")
    plain = to_plain(recipe)
    return {name: value for name, value in plain.items() if name not in ("name", "tokenizer")}
