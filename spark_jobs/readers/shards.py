"""The shards of a request: their names, their order, their companions, and the parts that tasks read."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from include.contracts.errors import InputError
from include.contracts.manifests import RawShard
from include.contracts.shard_names import signals_name
from include.object_store.locations import is_s3, local_path

#: A document's number is ``index << ROW_BITS | row``, with its shard's index. Within the shards of one
#: request it ascends like the id.
ROW_BITS = 36

_PARTS_WANTED = 16
_SMALLEST_PART_BYTES = 256 * 2**10
_LARGEST_PART_BYTES = 64 * 2**20


@dataclass(frozen=True)
class NumberedShard:
    """A raw shard. ``name`` begins its documents' ids, and ``index`` is its position in the order of ids."""

    index: int
    name: str
    raw: RawShard
    signals: RawShard | None = None


def ordered_shards(
    inputs: Sequence[RawShard], first_index: int = 0, held: Collection[str] = ()
) -> list[NumberedShard]:
    """Return the shards by name; document ids ascend with (index, row).

    ``held`` are names that the new shards must not have. Raises InputError for a shard given twice.
    """
    twice = [uri for uri, count in Counter(raw.uri for raw in inputs).items() if count > 1]
    if twice:
        raise InputError("the request names a shard twice", where=twice[0], remedy="name each shard once")
    names = _unique_names(inputs, held)
    # pairs by URI: a name may lack the folders that distinguish documents from their signals
    by_uri = {raw.uri: raw for raw in inputs}
    paired = {wanted for uri in by_uri if (wanted := signals_name(uri)) in by_uri}
    documents = [(name, raw) for name, raw in zip(names, inputs, strict=True) if raw.uri not in paired]
    # '/' follows the name in an id, so it takes part in the order
    documents.sort(key=lambda named: f"{named[0]}/".encode())
    return [
        NumberedShard(index, name, raw, by_uri.get(signals_name(raw.uri) or ""))
        for index, (name, raw) in enumerate(documents, first_index)
    ]


def all_shards(groups: Iterable[Sequence[RawShard]]) -> list[NumberedShard]:
    """Return the shards of CorpusRequest.all_inputs; each group is numbered after the one before."""
    shards: list[NumberedShard] = []
    for group in groups:
        shards += ordered_shards(group, len(shards), {shard.name for shard in shards})
    return shards


def grouped(shards: Sequence[NumberedShard]) -> list[tuple[NumberedShard, ...]]:
    """Join neighbours into parts of about a sixteenth of the whole: a task and a series of files each.

    The result depends only on the request, so the files are the same on any number of cores.
    """
    total = sum(shard.raw.size_bytes for shard in shards)
    limit = min(max(total // _PARTS_WANTED, _SMALLEST_PART_BYTES), _LARGEST_PART_BYTES)
    groups: list[list[NumberedShard]] = []
    size = 0
    for shard in shards:
        if not groups or size + shard.raw.size_bytes > limit:
            groups.append([])
            size = 0
        groups[-1].append(shard)
        size += shard.raw.size_bytes
    return [tuple(group) for group in groups]


def document_id(name: str, row: int) -> str:
    """Return ``<shard>/<row>``: the shard's name and the row with nine digits."""
    return f"{name}/{row:09d}"


def document_ids(shard_names: Sequence[str], docs: Sequence[int]) -> list[str]:
    """Return the ids of documents by their numbers; ``shard_names`` are in the order of their index."""
    row_mask = (1 << ROW_BITS) - 1
    return [document_id(shard_names[doc >> ROW_BITS], doc & row_mask) for doc in docs]


def _unique_names(inputs: Sequence[RawShard], held: Collection[str]) -> list[str]:
    """Return the shards' names, with a hash of the URI where two would be the same."""
    names = [raw.name or _name(raw.uri) for raw in inputs]
    counts = Counter([*names, *held])
    return [
        name if counts[name] == 1 else f"{name}~{hashlib.sha256(raw.uri.encode()).hexdigest()[:8]}"
        for name, raw in zip(names, inputs, strict=True)
    ]


def _name(uri: str) -> str:
    """Return an S3 key; of a local path without a name in the request, folder and file."""
    if is_s3(uri):
        return uri.split("/", 3)[3]
    path = local_path(uri)
    return "/".join((path.parent.name or "local", path.name))
