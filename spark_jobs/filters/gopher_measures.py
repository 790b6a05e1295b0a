"""Gopher's quality and repetition measures (arXiv 2112.11446, appendix A.1.1 and table A1).

Documents are measured by ``gopher_counts`` and then by their n-grams. An n-gram can occur twice only if its
first n - 1 words do. So for each n only the positions that remain from n - 1 are checked. The results are the
same as with all positions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spark_jobs.filters import gopher_counts
from spark_jobs.filters.gopher_counts import COUNTS, Parts, count_lines, count_words
from spark_jobs.kernels.compiled import Integer, array_kernel, kernel
from spark_jobs.kernels.hash_tables import REPETITION_LIMIT, repeats, slot_of, table_mask
from spark_jobs.kernels.hashing import mix64
from spark_jobs.kernels.text import longest_document
from spark_jobs.kernels.word_rules import WordRule

_PRIME = np.uint64(0x100000001B3)

TOP_NGRAMS = (2, 3, 4)
DUPLICATE_NGRAMS = (5, 6, 7, 8, 9, 10)
_SHORTEST, _LAST_TOP, _LONGEST = 2, 4, 10

#: Columns of ``measure``; the shares of n-grams from 2 to 10 words follow from NGRAM_SHARES on.
(
    WORDS,
    MEAN_WORD_LENGTH,
    HASH_RATIO,
    ELLIPSIS_RATIO,
    BULLET_LINE_SHARE,
    ELLIPSIS_LINE_SHARE,
    ALPHABETIC_WORD_SHARE,
    STOP_WORDS,
    DUPLICATE_LINE_SHARE,
    DUPLICATE_LINE_CHARACTER_SHARE,
    DUPLICATE_PARAGRAPH_SHARE,
    DUPLICATE_PARAGRAPH_CHARACTER_SHARE,
    NGRAM_SHARES,
) = range(13)
_COLUMNS = NGRAM_SHARES + _LONGEST - _SHORTEST + 1

#: For all measures of a document.
NO_MAXIMA = np.full(_COLUMNS, np.inf)


def ngram_share(n: int) -> int:
    """Return the column of ``measure`` for n-grams of ``n`` words."""
    return NGRAM_SHARES + n - _SHORTEST


class Candidates(NamedTuple):
    """The n-grams that may occur twice, by the word each begins at, in order."""

    grams: npt.NDArray[np.uint64]
    positions: npt.NDArray[np.int32]
    slots: npt.NDArray[np.int32]


class Table(NamedTuple):
    """A hash table (see ``hash_tables``) that counts."""

    keys: npt.NDArray[np.uint64]
    owners: npt.NDArray[np.int32]
    counts: npt.NDArray[np.int32]


@kernel
def _top_size(
    candidates: Candidates, left: int, counts: npt.NDArray[np.int32], word_ends: npt.NDArray[np.int64], n: int
) -> Integer:
    """Return the characters of all occurrences of the most frequent n-gram, single spaces included.

    The first of several that are as frequent counts. An n-gram that occurs once is no repetition.
    """
    most, size = 1, np.int64(0)
    for c in range(left):
        found = counts[candidates.slots[c]]
        if found > most:
            most, start = found, candidates.positions[c]
            size = np.int64(found) * (word_ends[start + n] - word_ends[start] + n - 1)
    return size


@kernel
def _duplicate_size(
    candidates: Candidates, left: int, counts: npt.NDArray[np.int32], word_ends: npt.NDArray[np.int64], n: int
) -> Integer:
    """Return the characters of words in n-grams that occurred before, each word once; overwrite ``counts``.

    The search continues after such an n-gram, as in datatrove's ``find_all_duplicate``.
    """
    size, behind = np.int64(0), 0
    for c in range(left):
        start, slot = candidates.positions[c], candidates.slots[c]
        if start < behind:
            continue
        if counts[slot] < 0:
            size += word_ends[start + n] - word_ends[start]
            behind = start + n
        counts[slot] = -1
    return size


@kernel
def _count_ngrams(
    words: npt.NDArray[np.uint64], n: int, candidates: Candidates, left: int, table: Table, owner: int
) -> int:
    """Extend the first ``left`` candidates to n words. Keep those that occur twice. Return their number."""
    grams, positions, slots = candidates
    while left and positions[left - 1] + n > len(words):
        left -= 1
    mask = table_mask(left)
    for c in range(left):
        gram = mix64(grams[c] * _PRIME + words[positions[c] + n - 1])
        slot = slot_of(table.keys, table.owners, mask, gram, owner)
        if table.owners[slot] != owner:
            table.keys[slot], table.owners[slot], table.counts[slot] = gram, owner, 0
        table.counts[slot] += 1
        grams[c], slots[c] = gram, slot
    kept = 0
    for c in range(left):
        if table.counts[slots[c]] > 1:
            grams[kept], positions[kept], slots[kept] = grams[c], positions[c], slots[c]
            kept += 1
    return kept


@kernel
def _ngram_shares(
    counts: npt.NDArray[np.int64],
    parts: Parts,
    candidates: Candidates,
    table: Table,
    owner: int,
    shares: npt.NDArray[np.float64],
    maxima: npt.NDArray[np.float64],
) -> None:
    """Write into ``shares``, for n from 2 to 10, the characters that Gopher's rule counts over all.

    The first share above its maximum is the last.
    """
    words, word_ends = parts.words[: counts[gopher_counts.STORED_WORDS]], parts.word_ends
    characters = counts[gopher_counts.CHARACTERS]
    left = len(words)
    for c in range(left):
        candidates.grams[c], candidates.positions[c] = words[c], c
    for n in range(_SHORTEST, _LONGEST + 1):
        left = _count_ngrams(words, n, candidates, left, table, owner + n - _SHORTEST)
        if left == 0:
            return
        if n <= _LAST_TOP:
            size = _top_size(candidates, left, table.counts, word_ends, n)
        else:
            size = _duplicate_size(candidates, left, table.counts, word_ends, n)
        share = min(1.0, size / characters)
        shares[n - _SHORTEST] = share
        if share > maxima[n - _SHORTEST]:
            return


@kernel
def _quality(counts: npt.NDArray[np.int64], row: npt.NDArray[np.float64]) -> None:
    """Write the measures of the quality rules into ``row``."""
    words, significant = counts[gopher_counts.WORDS], counts[gopher_counts.SIGNIFICANT_WORDS]
    row[WORDS] = significant
    row[STOP_WORDS] = counts[gopher_counts.STOP_WORDS]
    row[BULLET_LINE_SHARE] = counts[gopher_counts.BULLET_LINES] / counts[gopher_counts.LINES]
    row[ELLIPSIS_LINE_SHARE] = counts[gopher_counts.ELLIPSIS_LINES] / counts[gopher_counts.LINES]
    if significant:
        row[MEAN_WORD_LENGTH] = counts[gopher_counts.SIGNIFICANT_CHARACTERS] / significant
    if words:
        row[HASH_RATIO] = counts[gopher_counts.HASHES] / words
        row[ELLIPSIS_RATIO] = counts[gopher_counts.ELLIPSES] / words
        row[ALPHABETIC_WORD_SHARE] = counts[gopher_counts.ALPHABETIC_WORDS] / words


@kernel
def _repeated_parts(
    counts: npt.NDArray[np.int64], parts: Parts, table: Table, owner: int, row: npt.NDArray[np.float64]
) -> None:
    """Write the measures of repeated lines and paragraphs into ``row``."""
    characters = counts[gopher_counts.CHARACTERS]
    found = counts[gopher_counts.STORED_LINES]
    if found:
        count, size = repeats(parts.lines[:found], parts.line_sizes, table.keys, table.owners, owner)
        row[DUPLICATE_LINE_SHARE] = count / found
        row[DUPLICATE_LINE_CHARACTER_SHARE] = size / characters
    found = counts[gopher_counts.STORED_PARAGRAPHS]
    if found:
        hashes, sizes = parts.paragraphs[:found], parts.paragraph_sizes
        count, size = repeats(hashes, sizes, table.keys, table.owners, owner + 1)
        row[DUPLICATE_PARAGRAPH_SHARE] = count / found
        row[DUPLICATE_PARAGRAPH_CHARACTER_SHARE] = size / characters


@kernel
def _is_above(row: npt.NDArray[np.float64], maxima: npt.NDArray[np.float64]) -> bool:
    """Return True if a measure is above its maximum."""
    above = False
    for column in range(len(row)):
        above = above or row[column] > maxima[column]
    return above


@array_kernel
def measure(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int32],
    letters: npt.NDArray[np.uint8],
    rule: WordRule,
    maxima: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Measure documents: a row for each, a column for each measure; shares are of all characters, at most 1.

    ``maxima`` has the maximum of each measure, infinity for none (see ``NO_MAXIMA``). Repetition is measured
    in the order of its rules, and what follows a measure above its maximum stays 0. At most REPETITION_LIMIT
    words, lines and paragraphs are compared, which bounds the memory.
    """
    documents = len(offsets) - 1
    # white space lies between words of one byte, signs are words without it
    longest = longest_document(offsets) if rule.english else longest_document(offsets) // 2
    limit: int = min(longest + 1, REPETITION_LIMIT)
    parts = Parts(
        np.empty(limit, np.uint64),
        np.empty(limit + 1, np.int64),
        np.empty(limit, np.uint64),
        np.empty(limit, np.int32),
        np.empty(limit, np.uint64),
        np.empty(limit, np.int32),
    )
    candidates = Candidates(np.empty(limit, np.uint64), np.empty(limit, np.int32), np.empty(limit, np.int32))
    slots = table_mask(limit) + 1
    table = Table(np.empty(slots, np.uint64), np.full(slots, -1, np.int32), np.empty(slots, np.int32))
    counts = np.empty(COUNTS, np.int64)
    result = np.zeros((documents, _COLUMNS), np.float64)
    for d in range(documents):
        start, end = np.int64(offsets[d]), np.int64(offsets[d + 1])
        # the table is used eleven times, with another owner each time
        row, owner = result[d], d * (_LONGEST + 1)
        counts[:] = 0
        count_lines(data, start, end, letters, parts, counts)
        _repeated_parts(counts, parts, table, owner, row)
        if _is_above(row, maxima):
            continue
        count_words(data, start, end, letters, rule, parts, counts)
        shares, most = row[NGRAM_SHARES:], maxima[NGRAM_SHARES:]
        _ngram_shares(counts, parts, candidates, table, owner + 2, shares, most)
        if not _is_above(row, maxima):
            _quality(counts, row)
    return result
