"""Open-addressing hash tables in arrays that are allocated once for all documents of a batch.

``owners`` holds for each slot the document that wrote it last. The slot is free for every other document, so
the arrays need not be cleared between documents. A short document uses only the first slots.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spark_jobs.kernels.compiled import Integer, kernel

#: Filters measure repetition in at most this many lines and words of a document, to bound the memory.
REPETITION_LIMIT = 1 << 20


@kernel
def table_mask(entries: int) -> int:
    """Return the size of a table minus 1: the least power of two, from 16 on, that is at most half full.

    The tables of short documents then fit in the processor's cache.
    """
    mask = 15
    while mask + 1 < 2 * entries:
        mask = 2 * mask + 1
    return mask


@kernel
def slot_of(
    keys: npt.NDArray[np.uint64], owners: npt.NDArray[np.int32], mask: int, key: np.uint64, owner: int
) -> Integer:
    """Return the slot of ``key``, or the free slot for it if the table does not hold it."""
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
    """Return the number of hashes that equal an earlier one, and the sum of their ``sizes``."""
    mask = table_mask(len(hashes))
    count, size = np.int64(0), np.int64(0)
    for h in range(len(hashes)):
        slot = slot_of(keys, owners, mask, hashes[h], owner)
        if owners[slot] == owner:
            count += 1
            size += sizes[h]
        keys[slot], owners[slot] = hashes[h], owner
    return count, size
