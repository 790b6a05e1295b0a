"""MinHash signatures and LSH band keys (Broder 1997; Leskovec, Rajaraman, Ullman, ch. 3) in one pass."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spark_jobs.kernels.compiled import Integer, kernel
from spark_jobs.kernels.hashing import mix64
from spark_jobs.kernels.text import decode, longest_document
from spark_jobs.kernels.unicode_tables import FOLD_ALONE, FOLD_DIGIT, FOLD_SEPARATOR, FOLD_SKIP

_PRIME = np.uint64(0x100000001B3)
_BASIS = np.uint64(0xCBF29CE484222325)
_ORDER = np.uint64(0x9E3779B97F4A7C15)
_POINT = 0x2E
_BLOCK = 2048  # n-gram hashes that stay in the first-level cache while all permutations pass over them


def permutations(count: int, seed: int) -> npt.NDArray[np.uint64]:
    """``count`` rows (multiplier, increment): ``x -> (a x + b mod 2^64) >> 32`` on 32-bit x.

    This is Dietzfelbinger's strongly universal multiply-shift family.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    return generator.integers(0, 2**64, size=(count, 2), dtype=np.uint64)


@kernel
def _lower(
    block: npt.NDArray[np.uint32], used: int, permuted: npt.NDArray[np.uint64], minima: npt.NDArray[np.uint32]
) -> None:
    for p in range(len(minima)):
        a, b = permuted[p, 0], permuted[p, 1]
        smallest = minima[p]
        for i in range(used):
            value = np.uint32((a * np.uint64(block[i]) + b) >> np.uint64(32))
            smallest = min(smallest, value)
        minima[p] = smallest


@kernel
def fold_words(
    data: npt.NDArray[np.uint8],
    start: Integer,
    end: Integer,
    fold: npt.NDArray[np.uint32],
    words: npt.NDArray[np.uint64],
) -> int:
    """Hashes of the folded words of ``data[start:end]`` into ``words``; how many there are.

    Words are runs of folded letters; a run of digits with its decimal part counts as the digit 0.
    """
    count = 0
    word, letters = _BASIS, False
    digits, fraction = False, False
    i = start
    while i < end:
        point, width = decode(data, i)
        folded = np.int64(fold[point])
        if folded == FOLD_DIGIT:
            i += width
            if digits:
                continue
            digits = True
        else:
            i += width
            if digits and point == _POINT and not fraction and i < end:
                fraction = fold[decode(data, i)[0]] == FOLD_DIGIT
                if fraction:
                    continue
            digits = fraction = False
        if folded == FOLD_SKIP:
            continue
        alone = folded >= FOLD_ALONE
        if letters and (alone or folded == FOLD_SEPARATOR):
            words[count] = mix64(word)
            count += 1
            word, letters = _BASIS, False
        if folded == FOLD_SEPARATOR:
            continue
        word, letters = (word ^ np.uint64(folded)) * _PRIME, True
        if alone:
            words[count] = mix64(word)
            count += 1
            word, letters = _BASIS, False
    if letters:
        words[count] = mix64(word)
        count += 1
    return count


@kernel
def _sign(
    words: npt.NDArray[np.uint64],
    ngram: int,
    block: npt.NDArray[np.uint32],
    permuted: npt.NDArray[np.uint64],
    minima: npt.NDArray[np.uint32],
) -> int:
    """Lower ``minima`` by every n-gram of ``words``; how many n-grams there are."""
    length = min(ngram, len(words))
    oldest_weight = np.uint64(1)
    rolling = np.uint64(0)
    for k in range(length):
        rolling = rolling * _ORDER + words[k]
        oldest_weight *= _ORDER
    used = 0
    for last in range(length - 1, len(words)):
        if last >= length:
            rolling = rolling * _ORDER + words[last] - words[last - length] * oldest_weight
        block[used] = np.uint32(mix64(rolling) >> np.uint64(32))
        used += 1
        if used == len(block):
            _lower(block, used, permuted, minima)
            used = 0
    _lower(block, used, permuted, minima)
    return len(words) - length + 1


@kernel
def signatures(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int32],
    fold: npt.NDArray[np.uint32],
    permuted: npt.NDArray[np.uint64],
    ngram: int,
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """Minima (documents x permutations) over the word n-grams of each document, and its number of n-grams.

    A document of fewer than ``ngram`` words has one n-gram, all its words; one without words has none.
    """
    documents = len(offsets) - 1
    words = np.empty(longest_document(offsets), np.uint64)
    block = np.empty(_BLOCK, np.uint32)
    minima = np.full((documents, len(permuted)), np.uint32(0xFFFFFFFF), np.uint32)
    ngrams = np.zeros(documents, np.int64)
    for d in range(documents):
        count = fold_words(data, np.int64(offsets[d]), np.int64(offsets[d + 1]), fold, words)
        if count > 0:
            ngrams[d] = _sign(words[:count], ngram, block, permuted, minima[d])
    return minima, ngrams


@kernel
def band_keys(minima: npt.NDArray[np.uint32], bands: int, rows: int) -> npt.NDArray[np.int64]:
    """A key per document and band, of the band's number and its ``rows`` minima."""
    keys = np.empty((len(minima), bands), np.int64)
    for d in range(len(minima)):
        for band in range(bands):
            key = mix64(np.uint64(band + 1) * _ORDER)
            for row in range(rows):
                key = mix64(key ^ np.uint64(minima[d, band * rows + row])) * _PRIME
            keys[d, band] = np.int64(mix64(key))
    return keys
