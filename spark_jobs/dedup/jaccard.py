"""Computes the exact Jaccard similarity of documents, from the shingles that MinHash uses."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spark_jobs.dedup.minhash import Shingles, document_units
from spark_jobs.kernels.compiled import array_kernel, kernel
from spark_jobs.kernels.text import longest_document

Ngrams = npt.NDArray[np.uint64]

_ORDER = np.uint64(0x9E3779B97F4A7C15)


@array_kernel
def _ngrams(units: Ngrams, ngram: int) -> Ngrams:
    """Return the distinct hashes of the n-grams of ``units``, in ascending order.

    Fewer than ``ngram`` units are one n-gram.
    """
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
    """Return the size of the intersection of two sets of hashes in ascending order."""
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


@array_kernel
def similarities(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int32],
    is_kept: npt.NDArray[np.bool_],
    shingles: Shingles,
    kept_ngrams: Ngrams,
) -> tuple[npt.NDArray[np.float64], Ngrams]:
    """Return the Jaccard similarity of each document to the last kept document up to it.

    ``kept_ngrams`` are the n-grams of the last kept document before this batch. Those of the last kept one in
    this batch are returned, for the next batch. The similarity is 1 for a kept
    document, and 0 if a document has too few units.
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
