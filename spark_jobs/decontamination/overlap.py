"""Finds word n-grams that documents share with known texts, as GPT-3 did for its benchmarks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spark_jobs.dedup.minhash import fold_words
from spark_jobs.kernels.compiled import Integer, array_kernel, kernel
from spark_jobs.kernels.hashing import mix64
from spark_jobs.kernels.text import longest_document

_ORDER = np.uint64(0x9E3779B97F4A7C15)
_FREE = np.int32(-1)
_SLOTS_PER_NGRAM = 4
_FILTER_BITS_PER_NGRAM = 16


class NgramTable(NamedTuple):
    """A numbered table of distinct n-grams with the units (texts of items) that contain each of them."""

    #: Hash and number by slot. The number of slots is a power of two. A free slot has the number -1.
    hashes: npt.NDArray[np.uint64]
    numbers: npt.NDArray[np.int32]
    #: Bits of a filter small enough for the CPU's cache, which answers nearly every look-up.
    filter: npt.NDArray[np.uint8]
    #: Units with n-gram ``i`` are ``units[starts[i]:starts[i + 1]]``.
    starts: npt.NDArray[np.int64]
    units: npt.NDArray[np.int32]
    #: Numbers of words in an n-gram, ascending: a single one unless there are short units.
    lengths: npt.NDArray[np.int64]


def ngram_table(
    hashes: npt.NDArray[np.uint64], units: npt.NDArray[np.int32], lengths: npt.NDArray[np.int64]
) -> NgramTable:
    """Build the table from rows (n-gram's hash, unit, words in it)."""
    order = np.lexsort((units, hashes))
    hashes, units = hashes[order], units[order]
    new = np.ones(len(hashes), np.bool_)
    new[1:] = (hashes[1:] != hashes[:-1]) | (units[1:] != units[:-1])
    hashes, units = hashes[new], units[new]
    distinct, starts = np.unique(hashes, return_index=True)
    slots = 1 << max(4, int(_SLOTS_PER_NGRAM * len(distinct)).bit_length())
    table = NgramTable(
        hashes=np.zeros(slots, np.uint64),
        numbers=np.full(slots, _FREE, np.int32),
        filter=np.zeros(max(slots // _SLOTS_PER_NGRAM * _FILTER_BITS_PER_NGRAM // 8, 8), np.uint8),
        starts=np.append(starts, len(hashes)).astype(np.int64),
        units=units.astype(np.int32),
        lengths=np.unique(lengths).astype(np.int64),
    )
    _fill(table, distinct)
    return table


@kernel
def _filter_bit(table: NgramTable, key: np.uint64) -> tuple[Integer, np.uint8]:
    bit = np.int64(key >> np.uint64(32)) & (8 * len(table.filter) - 1)
    return bit >> 3, np.uint8(1 << (bit & 7))


@kernel
def _fill(table: NgramTable, distinct: npt.NDArray[np.uint64]) -> None:
    mask = len(table.hashes) - 1
    for number in range(len(distinct)):
        byte, bit = _filter_bit(table, distinct[number])
        table.filter[byte] |= bit
        slot = np.int64(distinct[number]) & mask
        while table.numbers[slot] != _FREE:
            slot = (slot + 1) & mask
        table.hashes[slot], table.numbers[slot] = distinct[number], number


@kernel
def _number(table: NgramTable, key: np.uint64) -> Integer:
    """Return the number of the n-gram with this hash, -1 if there is none."""
    byte, bit = _filter_bit(table, key)
    if not table.filter[byte] & bit:
        return np.int64(_FREE)
    mask = len(table.hashes) - 1
    slot = np.int64(key) & mask
    while table.numbers[slot] != _FREE and table.hashes[slot] != key:
        slot = (slot + 1) & mask
    return np.int64(table.numbers[slot])


@kernel
def _hash_ngrams(words: npt.NDArray[np.uint64], length: Integer, out: npt.NDArray[np.uint64]) -> Integer:
    """Write the hashes of all n-grams of ``length`` words to ``out``. Return their number."""
    weight, rolling = np.uint64(1), np.uint64(0)
    for k in range(min(length, len(words))):
        rolling = rolling * _ORDER + words[k]
        weight *= _ORDER
    count = max(len(words) - length + 1, 0)
    for first in range(count):
        out[first] = mix64(rolling)
        if first + 1 < count:
            rolling = rolling * _ORDER + words[first + length] - words[first] * weight
    return count


@array_kernel
def count_words(
    data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int32], fold: npt.NDArray[np.uint32]
) -> npt.NDArray[np.int64]:
    """Count the words of each document."""
    words = np.empty(longest_document(offsets) + 1, np.uint64)
    counts = np.zeros(len(offsets) - 1, np.int64)
    for d in range(len(counts)):
        counts[d] = fold_words(data, np.int64(offsets[d]), np.int64(offsets[d + 1]), fold, words)[0]
    return counts


@array_kernel
def ngrams_of(
    data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int32], fold: npt.NDArray[np.uint32], ngram: int
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Return hash, document and number of words of every n-gram. A shorter document is one n-gram."""
    longest = longest_document(offsets) + 1
    words, block = np.empty(longest, np.uint64), np.empty(longest, np.uint64)
    total = offsets[len(offsets) - 1] - offsets[0] + len(offsets)
    hashes, documents = np.empty(total, np.uint64), np.empty(total, np.int32)
    lengths = np.empty(total, np.int64)
    used = 0
    for d in range(len(offsets) - 1):
        count = fold_words(data, np.int64(offsets[d]), np.int64(offsets[d + 1]), fold, words)[0]
        length = min(count, ngram)
        if length == 0:
            continue
        for k in range(_hash_ngrams(words[:count], length, block)):
            hashes[used], documents[used], lengths[used] = block[k], d, length
            used += 1
    return hashes[:used], documents[:used], lengths[:used]


@array_kernel
def overlaps(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int32],
    fold: npt.NDArray[np.uint32],
    table: NgramTable,
    needed: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """Return rows (document, unit, number of the first common n-gram) for documents with enough of a unit.

    A document needs ``needed[unit]`` distinct n-grams of the unit, anywhere in its text.
    """
    longest = longest_document(offsets) + 1
    words, block = np.empty(longest, np.uint64), np.empty(longest, np.uint64)
    last_seen = np.full(len(table.starts) - 1, _FREE, np.int32)
    common, owner = np.zeros(len(needed), np.int64), np.full(len(needed), _FREE, np.int32)
    first, touched = np.zeros(len(needed), np.int64), np.empty(len(needed), np.int64)
    found = np.empty((16, 3), np.int64)
    rows = 0
    for d in range(len(offsets) - 1):
        count = fold_words(data, np.int64(offsets[d]), np.int64(offsets[d + 1]), fold, words)[0]
        units = 0
        for length in table.lengths:
            for k in range(_hash_ngrams(words[:count], length, block)):
                number = _number(table, block[k])
                if number < 0 or last_seen[number] == d:
                    continue
                last_seen[number] = d
                for p in range(table.starts[number], table.starts[number + 1]):
                    unit = table.units[p]
                    if owner[unit] != d:
                        owner[unit], common[unit], first[unit] = d, 0, number
                        touched[units] = unit
                        units += 1
                    common[unit] += 1
        for t in range(units):
            unit = touched[t]
            if common[unit] < needed[unit]:
                continue
            if rows == len(found):
                grown = np.empty((2 * rows, 3), np.int64)
                grown[:rows] = found
                found = grown
            found[rows, 0], found[rows, 1], found[rows, 2] = d, unit, first[unit]
            rows += 1
    return found[:rows]
