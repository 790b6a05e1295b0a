"""Open-addressing hash tables over arrays that are allocated once and serve every document of a batch.

A slot belongs to the document (``owner``) that wrote it last; for any other owner it is free. So nothing is
cleared between documents, and a short document touches only the first slots.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spark_jobs.kernels.compiled import Integer, kernel

#: Filters measure repetition on at most this many lines and words of a document, which bounds the memory.
REPETITION_LIMIT = 1 << 20


@kernel
def table_mask(entries: int) -> int:
    """A table at most half full, as small as that allows: short documents stay in the cache."""
    mask = 15
    while mask + 1 < 2 * entries:
        mask = 2 * mask + 1
    return mask


@kernel
def slot_of(
    keys: npt.NDArray[np.uint64], owners: npt.NDArray[np.int32], mask: int, key: np.uint64, owner: int
) -> Integer:
    """The slot of ``key``, or the free one where it belongs."""
    slot = np.int64(key & np.uint64(mask))
    while owners[slot] == owner and keys[slot] != key:
        slot = (slot + 1) & mask
    return slot


@kernel
def repeats(
    hashes: npt.NDArray[np.uint64],
    sizes: npt.NDArray[np.int32],
    keys: npt.NDArray[np.uint64],
    owners: npt.NDArray[np.int32],
    owner: int,
) -> tuple[Integer, Integer]:
    """How many entries equal an earlier one, and what their sizes add up to."""
    mask = table_mask(len(hashes))
    count, size = np.int64(0), np.int64(0)
    for h in range(len(hashes)):
        slot = slot_of(keys, owners, mask, hashes[h], owner)
        if owners[slot] == owner:
            count += 1
            size += sizes[h]
        keys[slot], owners[slot] = hashes[h], owner
    return count, size
