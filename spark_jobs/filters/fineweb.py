"""FineWeb's quality filters (arXiv 2406.17557, section 3.3; datatrove's ``fineweb_quality_filter``)."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from include.contracts.documents import DropReason
from include.recipes.quality import FineWebRecipe
from spark_jobs.filters.drops import drop_broken
from spark_jobs.kernels.compiled import Integer, kernel
from spark_jobs.kernels.hash_tables import REPETITION_LIMIT, repeats, table_mask
from spark_jobs.kernels.letters import letters
from spark_jobs.kernels.lines import hash_line, line_end, words_of
from spark_jobs.kernels.text import longest_document
from spark_jobs.runtime.columns import buffers

LINES, PUNCTUATED_LINE_SHARE, SHORT_LINE_SHARE, DUPLICATE_CHARACTER_SHARE, LINE_FEED_RATIO = range(5)

_END_MARKS = (0x2E, 0x27, 0x22, 0x21, 0x3F)  # . ' " ! ?


@kernel
def _measure_lines(
    data: npt.NDArray[np.uint8],
    start: Integer,
    end: Integer,
    letters: npt.NDArray[np.uint8],
    short_line_length: int,
    lines: npt.NDArray[np.uint64],
    line_sizes: npt.NDArray[np.int32],
) -> tuple[int, int, int, Integer, int]:
    """Lines that are not blank, those with an end mark, the short ones, characters beside LF, words."""
    found = punctuated = short = words = 0
    characters = np.int64(0)
    i = start
    while i <= end:
        stop = line_end(data, i, end)
        hashed, size = hash_line(data, i, stop)
        line_words, _ = words_of(data, i, stop, letters)
        characters += size
        if line_words:
            if found < len(lines):
                lines[found], line_sizes[found] = hashed, size
            found += 1
            words += line_words
            punctuated += data[stop - 1] in _END_MARKS
            short += int(size <= short_line_length)
        i = stop + 1
    return found, punctuated, short, characters, words


@kernel
def measure(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int32],
    letters: npt.NDArray[np.uint8],
    short_line_length: int,
) -> npt.NDArray[np.float64]:
    """A row a document: lines, the shares of those that end in ``. ' " ! ?`` and of the short ones (at most
    ``short_line_length`` characters), the share of characters in lines that occurred before, LF per word.

    Lines are those that are not blank, as they stand. At most REPETITION_LIMIT are compared, which bounds
    the memory.
    """
    documents = len(offsets) - 1
    limit: int = min(longest_document(offsets) // 2 + 1, REPETITION_LIMIT)
    lines, line_sizes = np.empty(limit, np.uint64), np.empty(limit, np.int32)
    slots = table_mask(limit) + 1
    keys, owners = np.empty(slots, np.uint64), np.full(slots, -1, np.int32)
    result = np.zeros((documents, 5), np.float64)
    for d in range(documents):
        start, end = np.int64(offsets[d]), np.int64(offsets[d + 1])
        found, punctuated, short, characters, words = _measure_lines(
            data, start, end, letters, short_line_length, lines, line_sizes
        )
        if found == 0:
            continue
        line_feeds = 0
        for i in range(start, end):
            line_feeds += data[i] == 0x0A
        _, size = repeats(lines[: min(found, limit)], line_sizes, keys, owners, d)
        result[d, LINES] = found
        result[d, PUNCTUATED_LINE_SHARE] = punctuated / found
        result[d, SHORT_LINE_SHARE] = short / found
        result[d, DUPLICATE_CHARACTER_SHARE] = size / characters
        result[d, LINE_FEED_RATIO] = line_feeds / words
    return result


def keep_fineweb(batch: pa.RecordBatch, recipe: FineWebRecipe, dropped: Counter[str]) -> pa.RecordBatch:
    """The documents within FineWeb's bounds; the others counted in ``dropped``.

    Reasons in order: end marks, short lines, duplicate characters, line feeds per word.
    """
    if not recipe.enabled:
        return batch
    data, offsets = buffers(batch.column("text"))
    measures = measure(data, offsets, letters(), recipe.short_line_length)
    punctuated = measures[:, PUNCTUATED_LINE_SHARE]
    short = measures[:, SHORT_LINE_SHARE]
    duplicate = measures[:, DUPLICATE_CHARACTER_SHARE]
    line_feeds = measures[:, LINE_FEED_RATIO]
    broken = {
        DropReason.FINEWEB_LINE_PUNCT_RATIO: punctuated <= recipe.min_punctuated_line_share,
        DropReason.FINEWEB_SHORT_LINE_RATIO: short >= recipe.min_short_line_share,
        DropReason.FINEWEB_CHAR_DUP_RATIO: duplicate >= recipe.min_duplicate_character_share,
    }
    if recipe.max_line_feed_ratio:
        broken[DropReason.FINEWEB_LIST_RATIO] = line_feeds > recipe.max_line_feed_ratio
    return drop_broken(batch, {reason.value: breaks for reason, breaks in broken.items()}, dropped)
