"""MinHash signatures and LSH band keys (Broder 1997; Leskovec, Rajaraman, Ullman, ch. 3) in one pass."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spark_jobs.kernels.compiled import kernel
from spark_jobs.kernels.hashing import mix64
from spark_jobs.kernels.text import decode
from spark_jobs.kernels.unicode_tables import FOLD_ALONE, FOLD_DIGIT, FOLD_SEPARATOR, FOLD_SKIP

_PRIME = np.uint64(0x100000001B3)
_BASIS = np.uint64(0xCBF29CE484222325)
_ORDER = np.uint64(0x9E3779B97F4A7C15)
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
def signatures(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int32],
    fold: npt.NDArray[np.uint32],
    permuted: npt.NDArray[np.uint64],
    ngram: int,
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """Minima (documents x permutations) over the word n-grams of each document, and its number of n-grams.

    Words are runs of folded letters; a run of digits with a decimal part is one word, whatever its value.
    A document of fewer than ``ngram`` words has one n-gram, all its words; one without words has none.
    """
    documents = len(offsets) - 1
    minima = np.full((documents, len(permuted)), np.uint32(0xFFFFFFFF), np.uint32)
    ngrams = np.zeros(documents, np.int64)
    block = np.empty(_BLOCK, np.uint32)
    ring = np.zeros(ngram, np.uint64)
    oldest_weight = np.uint64(1)
    for _ in range(ngram):
        oldest_weight *= _ORDER
    for d in range(documents):
        i, end = np.int64(offsets[d]), np.int64(offsets[d + 1])
        words = used = 0
        word, letters = _BASIS, False
        rolling = np.uint64(0)
        ring[:] = np.uint64(0)
        digits, fraction = False, False
        while i <= end:
            folded, width = np.int64(FOLD_SEPARATOR), 1
            if i < end:
                point, width = decode(data, i)
                folded = np.int64(fold[point])
                if folded == FOLD_DIGIT:
                    was_digits, digits = digits, True
                    if was_digits:
                        i += width
                        continue
                elif digits:
                    if point == 0x2E and not fraction and i + 1 < end:
                        after, _ = decode(data, i + 1)
                        if fold[after] == FOLD_DIGIT:
                            fraction = True
                            i += width
                            continue
                    digits = fraction = False
            else:
                digits = fraction = False
            i += width
            if folded == FOLD_SKIP:
                continue
            alone = folded >= FOLD_ALONE
            if letters and (alone or folded == FOLD_SEPARATOR):
                # close the word before; then, for `alone`, the character is a word of its own
                value = mix64(word)
                rolling = rolling * _ORDER + value - ring[words % ngram] * oldest_weight
                ring[words % ngram] = value
                words += 1
                word, letters = _BASIS, False
                if words >= ngram:
                    block[used] = np.uint32(mix64(rolling) >> np.uint64(32))
                    used += 1
            if used >= _BLOCK - 1:
                _lower(block, used, permuted, minima[d])
                ngrams[d] += used
                used = 0
            if folded == FOLD_SEPARATOR:
                continue
            word = (word ^ np.uint64(folded)) * _PRIME
            letters = True
            if alone:
                value = mix64(word)
                rolling = rolling * _ORDER + value - ring[words % ngram] * oldest_weight
                ring[words % ngram] = value
                words += 1
                word, letters = _BASIS, False
                if words >= ngram:
                    block[used] = np.uint32(mix64(rolling) >> np.uint64(32))
                    used += 1
        if 0 < words < ngram:
            block[0] = np.uint32(mix64(rolling) >> np.uint64(32))
            used = 1
        _lower(block, used, permuted, minima[d])
        ngrams[d] += used
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
