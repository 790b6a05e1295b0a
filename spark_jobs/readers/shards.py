"""The shards of a request: their names, their order, their companions, and the parts that tasks work on."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from include.contracts.errors import InputError
from include.contracts.manifests import RawShard
from include.contracts.shard_names import signals_name
from spark_jobs import storage

#: A document's number is its shard's index and its row: ``index << ROW_BITS | row``. Within the shards
#: of one request it ascends like the id.
ROW_BITS = 36

_PARTS_WANTED = 16
_SMALLEST_PART_BYTES = 256 * 2**10
_LARGEST_PART_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Shard:
    """A raw shard with its name, the beginning of its documents' ids, and its place in the order of ids."""

    index: int
    name: str
    raw: RawShard
    signals: RawShard | None = None


def ordered_shards(inputs: Sequence[RawShard], first_index: int = 0) -> list[Shard]:
    """The shards by name; document ids ascend with (index, row). InputError for one given twice."""
    twice = [uri for uri, count in Counter(raw.uri for raw in inputs).items() if count > 1]
    if twice:
        raise InputError("the request names a shard twice", where=twice[0], remedy="name each shard once")
    names = _unique_names([raw.uri for raw in inputs])
    # pairs by URI: a name may hold less than the folders that tell documents from their signals
    by_uri = {raw.uri: raw for raw in inputs}
    paired = {wanted for uri in by_uri if (wanted := signals_name(uri)) in by_uri}
    documents = [(name, raw) for name, raw in zip(names, inputs, strict=True) if raw.uri not in paired]
    # '/' follows the name in an id, so it takes part in the order
    documents.sort(key=lambda named: f"{named[0]}/".encode())
    return [
        Shard(index, name, raw, by_uri.get(signals_name(raw.uri) or ""))
        for index, (name, raw) in enumerate(documents, first_index)
    ]


def all_shards(groups: Iterable[Sequence[RawShard]]) -> list[Shard]:
    """The shards of CorpusRequest.all_inputs: those of a group are numbered after those of the one before."""
    shards: list[Shard] = []
    for group in groups:
        shards += ordered_shards(group, first_index=len(shards))
    return shards


def grouped(shards: Sequence[Shard]) -> list[tuple[Shard, ...]]:
    """Neighbours joined into parts of about a sixteenth of the whole: one task, one series of files each.

    A function of the request alone, so that the files are the same on any number of cores.
    """
    total = sum(shard.raw.size_bytes for shard in shards)
    limit = min(max(total // _PARTS_WANTED, _SMALLEST_PART_BYTES), _LARGEST_PART_BYTES)
    groups: list[list[Shard]] = []
    size = 0
    for shard in shards:
        if not groups or size + shard.raw.size_bytes > limit:
            groups.append([])
            size = 0
        groups[-1].append(shard)
        size += shard.raw.size_bytes
    return [tuple(group) for group in groups]


def document_id(name: str, row: int) -> str:
    """``<source>/<shard>/<row>``: the shard's name and the row with nine digits."""
    return f"{name}/{row:09d}"


def document_ids(shard_names: Sequence[str], docs: Sequence[int]) -> list[str]:
    """The ids of documents by their numbers; ``shard_names`` are by the shards' index."""
    row_mask = (1 << ROW_BITS) - 1
    return [document_id(shard_names[doc >> ROW_BITS], doc & row_mask) for doc in docs]


def _unique_names(uris: Sequence[str]) -> list[str]:
    """An S3 key is the name; of a local path folder and file, with a hash where two would be the same."""
    names = [_name(uri) for uri in uris]
    counts = Counter(names)
    return [
        name if counts[name] == 1 else f"{name}~{hashlib.sha256(uri.encode()).hexdigest()[:8]}"
        for name, uri in zip(names, uris, strict=True)
    ]


def _name(uri: str) -> str:
    if storage.is_s3(uri):
        return uri.split("/", 3)[3]
    path = storage.local_path(uri)
    return "/".join((path.parent.name or "local", path.name))
