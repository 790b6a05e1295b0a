"""FineWeb's quality filters (arXiv 2406.17557, section 3.3; datatrove's ``fineweb_quality_filter``)."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from include.contracts.documents import DropReason
from include.recipes.quality import FineWebRecipe
from spark_jobs.filters.drops import above, drop_violations
from spark_jobs.kernels.compiled import Integer, array_kernel, kernel
from spark_jobs.kernels.english_words import count_words
from spark_jobs.kernels.hash_tables import REPETITION_LIMIT, repeats, table_mask
from spark_jobs.kernels.letters import letters
from spark_jobs.kernels.lines import hash_line, line_end, words_of
from spark_jobs.kernels.text import longest_document
from spark_jobs.kernels.word_rules import WordRule, word_rule
from spark_jobs.runtime.columns import buffers

LINES, PUNCTUATED_LINE_SHARE, SHORT_LINE_SHARE, DUPLICATE_CHARACTER_SHARE, LINE_FEED_RATIO = range(5)

_END_MARKS = (0x2E, 0x27, 0x22, 0x21, 0x3F)  # . ' " ! ?


class StoredLines(NamedTuple):
    """Hashes and characters of the lines of one document that are compared."""

    hashes: npt.NDArray[np.uint64]
    sizes: npt.NDArray[np.int32]


@kernel
def _measure_lines(
    data: npt.NDArray[np.uint8],
    start: Integer,
    end: Integer,
    letters: npt.NDArray[np.uint8],
    short_line_length: int,
    rule: WordRule,
    lines: StoredLines,
) -> tuple[int, int, int, Integer, int]:
    """Count lines that are not blank, those with an end mark, short ones, characters except LF, and words."""
    found = punctuated = short = words = 0
    characters = np.int64(0)
    i = start
    while i <= end:
        stop = line_end(data, i, end)
        hashed, size = hash_line(data, i, stop)
        line_words, _ = words_of(data, i, stop, letters)
        characters += size
        if line_words:
            if found < len(lines.hashes):
                lines.hashes[found], lines.sizes[found] = hashed, size
            found += 1
            words += count_words(data, i, stop, letters, rule) if rule.english else line_words
            punctuated += data[stop - 1] in _END_MARKS
            short += int(size <= short_line_length)
        i = stop + 1
    return found, punctuated, short, characters, words


@array_kernel
def measure(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int32],
    letters: npt.NDArray[np.uint8],
    short_line_length: int,
    rule: WordRule,
) -> npt.NDArray[np.float64]:
    """Measure documents, a row for each.

    Columns are the number of lines, the shares of lines that end in ``. ' " ! ?`` and of short lines (at most
    ``short_line_length`` characters), the share of characters in lines that occurred before, and LF per word.
    Blank lines are left out, others are taken with the white space at their ends. At most REPETITION_LIMIT
    lines are compared, which bounds the memory.
    """
    documents = len(offsets) - 1
    limit: int = min(longest_document(offsets) // 2 + 1, REPETITION_LIMIT)
    lines = StoredLines(np.empty(limit, np.uint64), np.empty(limit, np.int32))
    slots = table_mask(limit) + 1
    keys, owners = np.empty(slots, np.uint64), np.full(slots, -1, np.int32)
    result = np.zeros((documents, 5), np.float64)
    for d in range(documents):
        start, end = np.int64(offsets[d]), np.int64(offsets[d + 1])
        found, punctuated, short, characters, words = _measure_lines(
            data, start, end, letters, short_line_length, rule, lines
        )
        if found == 0:
            continue
        line_feeds = 0
        for i in range(start, end):
            line_feeds += data[i] == 0x0A
        _, size = repeats(lines.hashes[: min(found, limit)], lines.sizes, keys, owners, d)
        result[d, LINES] = found
        result[d, PUNCTUATED_LINE_SHARE] = punctuated / found
        result[d, SHORT_LINE_SHARE] = short / found
        result[d, DUPLICATE_CHARACTER_SHARE] = size / characters
        result[d, LINE_FEED_RATIO] = line_feeds / words
    return result


def keep_fineweb(batch: pa.RecordBatch, recipe: FineWebRecipe, dropped: Counter[str]) -> pa.RecordBatch:
    """Return the documents within FineWeb's bounds; count the others in ``dropped``.

    Reasons in order: end marks, short lines, duplicate characters, line feeds per word.
    """
    if not recipe.enabled:
        return batch
    data, offsets = buffers(batch.column("text"))
    measures = measure(data, offsets, letters(), recipe.short_line_length, word_rule(recipe.words))
    punctuated = measures[:, PUNCTUATED_LINE_SHARE]
    short = measures[:, SHORT_LINE_SHARE]
    duplicate = measures[:, DUPLICATE_CHARACTER_SHARE]
    line_feeds = measures[:, LINE_FEED_RATIO]
    violations = {
        DropReason.FINEWEB_LINE_PUNCT_RATIO: _at_most(punctuated, recipe.min_punctuated_line_share),
        DropReason.FINEWEB_SHORT_LINE_RATIO: _at_least(short, recipe.min_short_line_share),
        DropReason.FINEWEB_CHAR_DUP_RATIO: _at_least(duplicate, recipe.min_duplicate_character_share),
        DropReason.FINEWEB_LIST_RATIO: above(line_feeds, recipe.max_line_feed_ratio),
    }
    return drop_violations(batch, {reason.value: marks for reason, marks in violations.items()}, dropped)


def _at_most(values: npt.NDArray[np.float64], bound: float) -> npt.NDArray[np.bool_]:
    return values <= bound if bound else np.zeros(len(values), np.bool_)


def _at_least(values: npt.NDArray[np.float64], bound: float) -> npt.NDArray[np.bool_]:
    return values >= bound if bound else np.zeros(len(values), np.bool_)
