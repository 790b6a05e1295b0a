"""Computes MinHash signatures and LSH band keys (Broder 1997; Leskovec, Rajaraman, Ullman, ch. 3)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spark_jobs.kernels.compiled import Integer, array_kernel, kernel
from spark_jobs.kernels.hashing import mix64
from spark_jobs.kernels.text import decode, longest_document
from spark_jobs.kernels.unicode_tables import (
    FOLD_ALONE,
    FOLD_DIGIT,
    FOLD_LETTER,
    FOLD_SEPARATOR,
    FOLD_SKIP,
    FOLD_SPLIT,
)

_PRIME = np.uint64(0x100000001B3)
_BASIS = np.uint64(0xCBF29CE484222325)
_ORDER = np.uint64(0x9E3779B97F4A7C15)
_BLANK = 0x20
_POINT = 0x2E
_SIGN = np.uint64(1 << 63)
_BLOCK = 2048  # n-gram hashes that fit in the L1 cache while all permutations are applied to them


class Shingles(NamedTuple):
    """Parameters of the n-grams of folded words or characters that are compared."""

    fold: npt.NDArray[np.uint32]
    ngram: int
    #: A document of fewer words or characters has no n-grams.
    min_units: int
    by_character: bool


def permutations(count: int, seed: int) -> npt.NDArray[np.uint64]:
    """Return ``count`` rows (a, b) of random hash functions ``x -> (a x + b mod 2^64) >> 32`` of 32-bit x.

    This is Dietzfelbinger's strongly universal multiply-shift family.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    return generator.integers(0, 2**64, size=(count, 2), dtype=np.uint64)


@kernel
def _lower(
    block: npt.NDArray[np.uint64], used: int, permuted: npt.NDArray[np.uint64], minima: npt.NDArray[np.uint32]
) -> None:
    # The least a x + b has the least upper half. Compared as signed numbers, which more processors have
    # vector instructions for: with the sign bit flipped, their order is that of unsigned ones.
    for p in range(len(minima)):
        a, b = permuted[p, 0], permuted[p, 1] ^ _SIGN
        smallest = np.int64(0x7FFFFFFFFFFFFFFF)
        for i in range(used):
            smallest = min(smallest, np.int64(a * block[i] + b))
        minima[p] = min(minima[p], np.uint32((np.uint64(smallest) ^ _SIGN) >> np.uint64(32)))


@kernel
def fold_words(
    data: npt.NDArray[np.uint8],
    start: Integer,
    end: Integer,
    fold: npt.NDArray[np.uint32],
    words: npt.NDArray[np.uint64],
) -> tuple[int, int]:
    """Write the hashes of the folded words of ``data[start:end]`` to ``words``.

    Return the number of words, and of those that are not empty.

    Words are runs of folded letters. A run of digits with its decimal part is one digit. Only FOLD_SPLIT
    makes empty words. There are at most ``end - start + 1`` words.
    """
    count = empty = 0
    word, letters, split = _BASIS, False, False
    digits, fraction = False, False
    i = start
    while i < end:
        if data[i] < 0x80 and fold[data[i]] >= FOLD_LETTER:
            word, letters = (word ^ np.uint64(fold[data[i]])) * _PRIME, True
            digits = fraction = False
            i += 1
            continue
        point, width = decode(data, i)
        i += width
        folded = np.int64(fold[point])
        if folded == FOLD_DIGIT:
            if digits:
                continue
            digits = True
        else:
            if digits and point == _POINT and not fraction and i < end:
                fraction = fold[decode(data, i)[0]] == FOLD_DIGIT
                if fraction:
                    continue
            digits = fraction = False
        if folded == FOLD_SKIP:
            continue
        alone = folded >= FOLD_ALONE
        split = folded == FOLD_SPLIT
        if split or (letters and (alone or folded == FOLD_SEPARATOR)):
            words[count] = mix64(word)
            count += 1
            empty += not letters
            word, letters = _BASIS, False
        if split or folded == FOLD_SEPARATOR:
            continue
        word, letters = (word ^ np.uint64(folded)) * _PRIME, True
        if alone:
            words[count] = mix64(word)
            count += 1
            word, letters = _BASIS, False
    if letters or split:
        words[count] = mix64(word)
        count += 1
        empty += not letters
    return count, count - empty


@kernel
def fold_characters(
    data: npt.NDArray[np.uint8],
    start: Integer,
    end: Integer,
    fold: npt.NDArray[np.uint32],
    characters: npt.NDArray[np.uint64],
) -> int:
    """Write the hashes of the folded characters of ``data[start:end]`` to ``characters``.

    Return their number. A run of FOLD_SEPARATOR, with FOLD_SKIP or without, is one blank. Blanks at
    both ends are left out.
    """
    count = 0
    blank = False
    i = start
    while i < end:
        point, width = decode(data, i)
        i += width
        folded = np.int64(fold[point])
        if folded == FOLD_SKIP:
            continue
        if folded == FOLD_SEPARATOR:
            blank = count > 0
            continue
        if blank:
            characters[count] = mix64(np.uint64(_BLANK))
            count += 1
            blank = False
        characters[count] = mix64(np.uint64(folded & (FOLD_ALONE - 1)))
        count += 1
    return count


@kernel
def document_units(
    data: npt.NDArray[np.uint8],
    start: Integer,
    end: Integer,
    shingles: Shingles,
    units: npt.NDArray[np.uint64],
) -> int:
    """Write the hashes of the folded units of ``data[start:end]`` to ``units``.

    Return their number, or 0 if they are fewer than ``min_units``.
    """
    if shingles.by_character:
        count = fold_characters(data, start, end, shingles.fold, units)
        filled = count
    else:
        count, filled = fold_words(data, start, end, shingles.fold, units)
    return count if filled >= shingles.min_units else 0


@kernel
def _sign(
    units: npt.NDArray[np.uint64],
    ngram: int,
    block: npt.NDArray[np.uint64],
    permuted: npt.NDArray[np.uint64],
    minima: npt.NDArray[np.uint32],
) -> int:
    """Lower ``minima`` to the permuted hashes of the n-grams of ``units``. Return the number of n-grams."""
    length = min(ngram, len(units))
    oldest_weight = np.uint64(1)
    rolling = np.uint64(0)
    for k in range(length):
        rolling = rolling * _ORDER + units[k]
        oldest_weight *= _ORDER
    used = 0
    for last in range(length - 1, len(units)):
        if last >= length:
            rolling = rolling * _ORDER + units[last] - units[last - length] * oldest_weight
        block[used] = mix64(rolling) >> np.uint64(32)
        used += 1
        if used == len(block):
            _lower(block, used, permuted, minima)
            used = 0
    _lower(block, used, permuted, minima)
    return len(units) - length + 1


@array_kernel
def signatures(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int32],
    shingles: Shingles,
    permuted: npt.NDArray[np.uint64],
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """Return the minima over the n-grams of each document, and its number of n-grams.

    The minima have the shape (documents, permutations). A document of fewer than ``ngram`` units, but at
    least ``min_units``, has one n-gram of all its units.
    """
    documents = len(offsets) - 1
    units = np.empty(longest_document(offsets) + 1, np.uint64)
    block = np.empty(_BLOCK, np.uint64)
    minima = np.full((documents, len(permuted)), np.uint32(0xFFFFFFFF), np.uint32)
    ngrams = np.zeros(documents, np.int64)
    for d in range(documents):
        count = document_units(data, np.int64(offsets[d]), np.int64(offsets[d + 1]), shingles, units)
        if count:
            ngrams[d] = _sign(units[:count], shingles.ngram, block, permuted, minima[d])
    return minima, ngrams


@array_kernel
def band_keys(minima: npt.NDArray[np.uint32], bands: int, rows: int) -> npt.NDArray[np.int64]:
    """Return the keys (documents, bands): hashes of the band's number and its ``rows`` minima."""
    keys = np.empty((len(minima), bands), np.int64)
    for d in range(len(minima)):
        for band in range(bands):
            key = mix64(np.uint64(band + 1) * _ORDER)
            for row in range(rows):
                key = mix64(key ^ np.uint64(minima[d, band * rows + row])) * _PRIME
            keys[d, band] = np.int64(mix64(key))
    return keys
