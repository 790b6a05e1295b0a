"""Choose the shards that a run fetches, and divide them into batches."""

from __future__ import annotations

import fnmatch
import heapq
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from include.contracts.errors import InputError
from include.contracts.ingestion import Shard

#: Cost of a shard besides its bytes (requests, verification), in bytes; and the size assumed if unknown.
_OVERHEAD_BYTES = 4 << 20
_UNKNOWN_BYTES = 256 << 20


def selected(
    shards: Sequence[Shard], include: str, max_shards: int, exclude: Collection[str] = ()
) -> list[Shard]:
    """Return shards whose name matches the glob and none of ``exclude``, at most ``max_shards`` (0: all)."""
    found = [
        shard
        for shard in shards
        if fnmatch.fnmatchcase(shard.name, include or "*")
        and not any(fnmatch.fnmatchcase(shard.name, glob) for glob in exclude)
    ]
    if not found:
        examples = ", ".join(shard.name for shard in shards[:3]) or "nothing"
        raise InputError(
            "no shard is selected",
            where="include",
            expected="a glob that matches names of shards",
            got=f"{include!r} without {sorted(exclude)}, where the source has {examples}",
            remedy="correct include, exclude or select",
        )
    return found[:max_shards] if max_shards else found


def batches(shards: Sequence[Shard], most: int) -> list[list[Shard]]:
    """Return at most ``most`` batches of about equal work, each in the order of names.

    The longest shard is added to the shortest batch: no batch exceeds another by more than one shard.
    """
    count = min(most, len(shards))
    if not count:
        return []
    filled: list[list[int]] = [[] for _ in range(count)]
    heap = [(0, index) for index in range(count)]
    for position in sorted(range(len(shards)), key=lambda p: (-work_bytes(shards[p]), p)):
        load, index = heapq.heappop(heap)
        filled[index].append(position)
        heapq.heappush(heap, (load + work_bytes(shards[position]), index))
    return [[shards[position] for position in sorted(batch)] for batch in filled]


def work_bytes(shard: Shard) -> int:
    """Return the weight of a shard when batches are balanced."""
    return _OVERHEAD_BYTES + (_UNKNOWN_BYTES if shard.size_bytes is None else shard.size_bytes)


@dataclass(frozen=True)
class IngestionPlan:
    """The plan of a run, for its XCom. ``present`` shards are there by name, and by size if one is published.

    ``to_fetch_bytes`` counts shards of published size that are not there; ``of_unknown_size`` are the others.
    ``known_missing`` shards are in the lists, but their publisher says that they are missing: they are left
    out.
    """

    source: str
    title: str
    licence: str
    homepage: str
    target_uri: str
    shards: int
    present: int
    to_fetch_bytes: int
    of_unknown_size: int
    without_checksum: int
    known_missing: int
    batches: int
    stale_uploads: int
    examples: tuple[str, ...]


def absent(shards: Sequence[Shard], sizes: Mapping[str, int]) -> list[Shard]:
    """Return the shards that are not there, given the sizes of those that are."""
    return [s for s in shards if s.name not in sizes or s.size_bytes not in (None, sizes[s.name])]
