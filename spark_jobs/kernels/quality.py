"""The measures that the filters judge, per document, over whole Arrow batches."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spark_jobs.kernels.compiled import kernel
from spark_jobs.kernels.hashing import mix64
from spark_jobs.kernels.text import decode
from spark_jobs.kernels.unicode_tables import ALPHANUMERIC, MARK, WHITESPACE

_WHITESPACE = np.uint8(WHITESPACE)
_SPOKEN = np.uint8(ALPHANUMERIC | MARK)
_PRIME = np.uint64(0x100000001B3)
_BASIS = np.uint64(0xCBF29CE484222325)

#: Repetition is measured on at most this many lines and words of a document, which bounds the memory.
REPETITION_LIMIT = 1 << 20

CHARACTERS, SYMBOL_SHARE, DUPLICATE_LINE_SHARE, TOP_BIGRAM_SHARE = range(4)


@kernel
def _slot(
    keys: npt.NDArray[np.uint64], used: npt.NDArray[np.int32], mask: int, key: np.uint64, d: int
) -> int:
    """The slot of ``key``, or the free one where it belongs; a slot is of document ``d`` if used says so."""
    slot = np.int64(key & np.uint64(mask))
    while used[slot] == d and keys[slot] != key:
        slot = (slot + 1) & mask
    return slot


@kernel
def measure(
    data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int32], classes: npt.NDArray[np.uint8]
) -> npt.NDArray[np.float64]:
    """Rows of (characters, symbol share, duplicate-line share, top-bigram share), a row a document.

    Symbol share: characters that are neither white space nor alphanumeric nor combining marks, over those
    that are not white space. Duplicate-line share: lines equal to an earlier one (white space at the ends
    aside), over lines that are not blank. Top-bigram share: of the bigrams of words that occur at least
    twice, the most characters that one covers (occurrences x characters), over the characters of all words;
    at most 1 (Gopher, arXiv 2112.11446, table A1).
    """
    documents = len(offsets) - 1
    longest = 0
    for d in range(documents):
        longest = max(longest, np.int64(offsets[d + 1] - offsets[d]))
    entries = min(longest // 2 + 1, REPETITION_LIMIT)
    size = 16
    while size < 2 * entries:
        size *= 2
    line_keys, line_used = np.empty(size, np.uint64), np.full(size, -1, np.int32)
    pair_keys, pair_used = np.empty(size, np.uint64), np.full(size, -1, np.int32)
    pair_counts = np.empty(size, np.int32)
    result = np.zeros((documents, 4), np.float64)
    for d in range(documents):
        start, end = np.int64(offsets[d]), np.int64(offsets[d + 1])
        # a small document probes a small part of the tables, which stays in the cache
        mask = 15
        while mask + 1 < min(size, end - start + 1):
            mask = 2 * mask + 1
        characters = visible = symbols = 0
        lines = duplicate_lines = words = 0
        word_hash, word_characters = _BASIS, 0
        last_hash, last_characters = np.uint64(0), 0
        line_hash, pending_blanks, line_visible = _BASIS, np.uint64(0), False
        best = 0
        i = start
        while i <= end:
            if i < end:
                point, width = decode(data, i)
                blank = (classes[point] & _WHITESPACE) != 0
                characters += 1
            else:
                point, width, blank = np.int64(10), 1, True  # the end closes word and line
            if not blank:
                visible += 1
                if (classes[point] & _SPOKEN) == 0:
                    symbols += 1
                word_hash = (word_hash ^ np.uint64(point)) * _PRIME
                word_characters += 1
                if pending_blanks != np.uint64(0):
                    # blanks count only between visible characters of a line
                    if line_visible:
                        line_hash = (line_hash ^ pending_blanks) * _PRIME
                    pending_blanks = np.uint64(0)
                line_hash = (line_hash ^ np.uint64(point)) * _PRIME
                line_visible = True
            else:
                if word_characters > 0:
                    words += 1
                    word_hash = mix64(word_hash)
                    if words > 1 and words <= REPETITION_LIMIT:
                        key = mix64(last_hash * _PRIME + word_hash)
                        slot = _slot(pair_keys, pair_used, mask, key, d)
                        if pair_used[slot] != d:
                            pair_used[slot], pair_keys[slot], pair_counts[slot] = d, key, 1
                        else:
                            pair_counts[slot] += 1
                            covered = np.int64(pair_counts[slot]) * (last_characters + word_characters)
                            best = max(best, covered)
                    last_hash, last_characters = word_hash, word_characters
                    word_hash, word_characters = _BASIS, 0
                if point == 10:
                    if line_visible and lines < REPETITION_LIMIT:
                        lines += 1
                        key = mix64(line_hash)
                        slot = _slot(line_keys, line_used, mask, key, d)
                        if line_used[slot] == d:
                            duplicate_lines += 1
                        else:
                            line_used[slot], line_keys[slot] = d, key
                    line_hash, pending_blanks, line_visible = _BASIS, np.uint64(0), False
                else:
                    pending_blanks = mix64(
                        pending_blanks * _PRIME + np.uint64(point) + np.uint64(1)
                    ) | np.uint64(1)
            i += width
        result[d, CHARACTERS] = characters
        if visible > 0:
            result[d, SYMBOL_SHARE] = symbols / visible
            result[d, TOP_BIGRAM_SHARE] = min(1.0, best / visible)
        if lines > 0:
            result[d, DUPLICATE_LINE_SHARE] = duplicate_lines / lines
    return result
