"""Exact Jaccard similarity of the n-grams of documents, by the shingles that MinHash estimates it from."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spark_jobs.dedup.minhash import Shingles, document_units
from spark_jobs.kernels.compiled import kernel
from spark_jobs.kernels.text import longest_document

Ngrams = npt.NDArray[np.uint64]

_ORDER = np.uint64(0x9E3779B97F4A7C15)


@kernel
def _ngrams(units: Ngrams, ngram: int) -> Ngrams:
    """The set of n-grams of ``units`` as ascending hashes; of fewer than ``ngram`` units the only one."""
    length = min(ngram, len(units))
    hashes = np.empty(len(units) - length + 1, np.uint64)
    for i in range(len(hashes)):
        value = np.uint64(0)
        for k in range(length):
            value = value * _ORDER + units[i + k]
        hashes[i] = value
    hashes.sort()
    different = 1
    for i in range(1, len(hashes)):
        if hashes[i] != hashes[different - 1]:
            hashes[different] = hashes[i]
            different += 1
    return hashes[:different].copy()


@kernel
def _shared(left: Ngrams, right: Ngrams) -> int:
    """How many hashes two ascending sets have in common."""
    i = j = shared = 0
    while i < len(left) and j < len(right):
        if left[i] == right[j]:
            shared += 1
            i += 1
            j += 1
        elif left[i] < right[j]:
            i += 1
        else:
            j += 1
    return shared


@kernel
def similarities(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int32],
    is_kept: npt.NDArray[np.bool_],
    shingles: Shingles,
    kept_ngrams: Ngrams,
) -> tuple[npt.NDArray[np.float64], Ngrams]:
    """Return the Jaccard similarity of each document to the last kept one up to it, whose own is 1.

    ``kept_ngrams`` are the n-grams of the last kept document before this batch. Those of the last kept one in
    this batch are returned, for the next batch. A document of too few units is similar to no other: 0.
    """
    documents = len(offsets) - 1
    units = np.empty(longest_document(offsets) + 1, np.uint64)
    similar = np.zeros(documents, np.float64)
    for d in range(documents):
        count = document_units(data, np.int64(offsets[d]), np.int64(offsets[d + 1]), shingles, units)
        ngrams = _ngrams(units[:count], shingles.ngram) if count else kept_ngrams[:0]
        if is_kept[d]:
            kept_ngrams = ngrams
        shared = _shared(kept_ngrams, ngrams)
        if shared:
            similar[d] = shared / (len(kept_ngrams) + len(ngrams) - shared)
    return similar, kept_ngrams
