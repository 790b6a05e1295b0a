"""Basic quality filters: bounds on length, share of symbols, repeated lines and repeated bigrams."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from include.contracts.documents import DropReason
from include.recipes.corpus import FilterRecipe
from spark_jobs.filters.drops import above, below, drop_violations
from spark_jobs.kernels import unicode_tables
from spark_jobs.kernels.compiled import Integer, array_kernel, kernel
from spark_jobs.kernels.hash_tables import REPETITION_LIMIT, slot_of, table_mask
from spark_jobs.kernels.hashing import mix64
from spark_jobs.kernels.text import decode, longest_document
from spark_jobs.kernels.unicode_tables import ALPHANUMERIC, MARK, WHITESPACE
from spark_jobs.runtime.columns import buffers

_WHITESPACE = np.uint8(WHITESPACE)
_SPOKEN = np.uint8(ALPHANUMERIC | MARK)
_PRIME = np.uint64(0x100000001B3)
_BASIS = np.uint64(0xCBF29CE484222325)

CHARACTERS, SYMBOL_SHARE, DUPLICATE_LINE_SHARE, TOP_BIGRAM_SHARE = range(4)


_LINE_FEED = 10
_CHARACTERS, _VISIBLE, _SYMBOLS, _WORDS, _LINES = range(5)


@kernel
def _scan(
    data: npt.NDArray[np.uint8],
    start: Integer,
    end: Integer,
    classes: npt.NDArray[np.uint8],
    words: npt.NDArray[np.uint64],
    word_sizes: npt.NDArray[np.int32],
    lines: npt.NDArray[np.uint64],
) -> tuple[Integer, Integer, Integer, Integer, Integer]:
    """Count characters, visible ones and symbols; hash words and lines (blank lines are left out)."""
    characters = visible = symbols = word_count = line_count = 0
    word_hash, word_size = _BASIS, 0
    line_hash, gap_hash, line_size = _BASIS, np.uint64(0), 0
    i = start
    while i <= end:
        # the end closes word and line as a line feed does
        point, width, blank = np.int64(_LINE_FEED), np.int64(1), True
        if i < end:
            point, width = decode(data, i)
            blank = (classes[point] & _WHITESPACE) != 0
            characters += 1
        i += width
        if not blank:
            visible += 1
            symbols += (classes[point] & _SPOKEN) == 0
            word_hash, word_size = (word_hash ^ np.uint64(point)) * _PRIME, word_size + 1
            # white space counts only between visible characters of a line
            if line_size > 0 and gap_hash != 0:
                line_hash = (line_hash ^ gap_hash) * _PRIME
            gap_hash = np.uint64(0)
            line_hash, line_size = (line_hash ^ np.uint64(point)) * _PRIME, line_size + 1
            continue
        gap_hash = mix64(gap_hash * _PRIME + np.uint64(point)) | np.uint64(1)
        if word_size > 0:
            if word_count < len(words):
                words[word_count], word_sizes[word_count] = mix64(word_hash), word_size
                word_count += 1
            word_hash, word_size = _BASIS, 0
        if point == _LINE_FEED:
            if line_size > 0 and line_count < len(lines):
                lines[line_count] = mix64(line_hash)
                line_count += 1
            line_hash, gap_hash, line_size = _BASIS, np.uint64(0), 0
    return characters, visible, symbols, word_count, line_count


@kernel
def _repeats(
    lines: npt.NDArray[np.uint64], keys: npt.NDArray[np.uint64], owners: npt.NDArray[np.int32], owner: int
) -> int:
    """Count the lines that equal an earlier one."""
    mask = table_mask(len(lines))
    repeats = 0
    for line in lines:
        slot = slot_of(keys, owners, mask, line, owner)
        repeats += owners[slot] == owner
        keys[slot], owners[slot] = line, owner
    return repeats


@kernel
def _most_covered(
    words: npt.NDArray[np.uint64],
    word_sizes: npt.NDArray[np.int32],
    keys: npt.NDArray[np.uint64],
    owners: npt.NDArray[np.int32],
    counts: npt.NDArray[np.int32],
    owner: int,
) -> Integer:
    """Return the most characters that the occurrences of one repeated bigram add up to."""
    mask = table_mask(len(words))
    most = np.int64(0)
    for w in range(1, len(words)):
        key = mix64(words[w - 1] * _PRIME + words[w])
        slot = slot_of(keys, owners, mask, key, owner)
        if owners[slot] != owner:
            keys[slot], owners[slot], counts[slot] = key, owner, 0
        counts[slot] += 1
        if counts[slot] > 1:
            most = max(most, np.int64(counts[slot]) * (word_sizes[w - 1] + word_sizes[w]))
    return most


@array_kernel
def measure(
    data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int32], classes: npt.NDArray[np.uint8]
) -> npt.NDArray[np.float64]:
    """Measure documents: a row (characters, symbol share, duplicate-line share, top-bigram share) for each.

    Symbol share: characters that are neither white space nor alphanumeric nor combining marks, over those
    that are not white space. Duplicate-line share: lines equal to an earlier one (white space at the ends
    aside), over lines that are not blank. Top-bigram share: of the bigrams of words that occur at least
    twice, the most characters that one covers (occurrences x characters), over the characters of all words;
    at most 1 (Gopher, arXiv 2112.11446, table A1).
    """
    documents = len(offsets) - 1
    limit: int = min(longest_document(offsets) // 2 + 1, REPETITION_LIMIT)
    words, word_sizes = np.empty(limit, np.uint64), np.empty(limit, np.int32)
    lines = np.empty(limit, np.uint64)
    slots = table_mask(limit) + 1
    keys, owners, counts = np.empty(slots, np.uint64), np.full(slots, -1, np.int32), np.empty(slots, np.int32)
    result = np.zeros((documents, 4), np.float64)
    for d in range(documents):
        start, end = np.int64(offsets[d]), np.int64(offsets[d + 1])
        found = _scan(data, start, end, classes, words, word_sizes, lines)
        result[d, CHARACTERS] = found[_CHARACTERS]
        if found[_VISIBLE] > 0:
            # the table is used twice, with another owner each time
            word_count, line_count = found[_WORDS], found[_LINES]
            most = _most_covered(words[:word_count], word_sizes[:word_count], keys, owners, counts, 2 * d)
            result[d, SYMBOL_SHARE] = found[_SYMBOLS] / found[_VISIBLE]
            result[d, TOP_BIGRAM_SHARE] = min(1.0, most / found[_VISIBLE])
            result[d, DUPLICATE_LINE_SHARE] = (
                _repeats(lines[:line_count], keys, owners, 2 * d + 1) / line_count
            )
    return result


def keep_good(batch: pa.RecordBatch, recipe: FilterRecipe, dropped: Counter[str]) -> pa.RecordBatch:
    """Return the documents within all bounds, with a column ``characters``; count the others."""
    data, offsets = buffers(batch.column("text"))
    measures = measure(data, offsets, unicode_tables.classes())
    characters = measures[:, CHARACTERS]
    repeated_lines = above(measures[:, DUPLICATE_LINE_SHARE], recipe.max_duplicate_line_share)
    repeated_words = above(measures[:, TOP_BIGRAM_SHARE], recipe.max_top_bigram_share)
    violations = {
        DropReason.TOO_SHORT.value: below(characters, recipe.min_characters),
        DropReason.TOO_LONG.value: above(characters, recipe.max_characters),
        DropReason.SYMBOLS.value: above(measures[:, SYMBOL_SHARE], recipe.max_symbol_share),
        DropReason.REPETITION.value: repeated_lines | repeated_words,
    }
    batch = batch.append_column("characters", pa.array(characters.astype(np.int64)))
    return drop_violations(batch, violations, dropped)
