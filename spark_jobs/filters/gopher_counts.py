"""Count what Gopher's rules need of one document, and hash its words, lines and paragraphs.

The rules are those of Rae et al., arXiv 2112.11446, appendix A.1.1; where the paper leaves a count open
(which lines, which characters), that of datatrove's ``gopher_quality_filter`` and
``gopher_repetition_filter`` is taken, with which FineWeb was made.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spark_jobs.kernels.compiled import Integer, kernel
from spark_jobs.kernels.english_words import cut_words, plain_word, stretch_end
from spark_jobs.kernels.hashing import mix64
from spark_jobs.kernels.letters import ALPHABETIC, BLANK, SPOKEN
from spark_jobs.kernels.lines import (
    HASH_BASIS,
    HASH_PRIME,
    character_before,
    ends_in_ellipsis,
    hash_line,
    line_end,
    trim,
)
from spark_jobs.kernels.text import decode
from spark_jobs.kernels.word_rules import WordRule

_BLANK, _ALPHABETIC, _SPOKEN = np.uint8(BLANK), np.uint8(ALPHABETIC), np.uint8(SPOKEN)
_HASH, _DOT, _HYPHEN, _BULLET, _ELLIPSIS = 0x23, 0x2E, 0x2D, 0x2022, 0x2026

#: SIGNIFICANT words hold a letter, digit or mark, ALPHABETIC ones a letter; STORED ones are in the arrays.
(
    WORDS,
    STORED_WORDS,
    SIGNIFICANT_WORDS,
    SIGNIFICANT_CHARACTERS,
    ALPHABETIC_WORDS,
    HASHES,
    ELLIPSES,
    STOP_WORDS,
    CHARACTERS,
    LINES,
    BULLET_LINES,
    ELLIPSIS_LINES,
    STORED_LINES,
    STORED_PARAGRAPHS,
) = range(14)
COUNTS = 14


class Parts(NamedTuple):
    """Hashes and sizes of one document's parts; the lengths bound how many are stored.

    ``word_ends[w]`` is how many characters the words before ``w`` have, so it is one longer than ``words``.
    """

    words: npt.NDArray[np.uint64]
    word_ends: npt.NDArray[np.int64]
    lines: npt.NDArray[np.uint64]
    line_sizes: npt.NDArray[np.int32]
    paragraphs: npt.NDArray[np.uint64]
    paragraph_sizes: npt.NDArray[np.int32]


@kernel
def _stop_word(
    data: npt.NDArray[np.uint8], start: Integer, end: Integer, letters: npt.NDArray[np.uint8]
) -> int:
    """Return the bit of a word of which punctuation at both ends is no part."""
    point, width = decode(data, start)
    while start < end and (letters[point] & _SPOKEN) == 0:
        start += width
        point, width = decode(data, start)
    last = character_before(data, end)
    while end > start and (letters[decode(data, last)[0]] & _SPOKEN) == 0:
        end, last = last, character_before(data, last)
    return _stop_word_bit(data, start, end)


@kernel
def _stop_word_bit(data: npt.NDArray[np.uint8], start: Integer, end: Integer) -> int:
    """Return a bit for each of Gopher's eight stop words; 0 for other words."""
    if end - start < 2 or end - start > 4:
        return 0
    # the bytes, in lower case, as one big-endian number
    code = np.int64(0)
    for i in range(start, end):
        code = (code << 8) | (np.int64(data[i]) | 0x20)
    stop_words = (0x746865, 0x6265, 0x746F, 0x6F66, 0x616E64, 0x74686174, 0x68617665, 0x77697468)
    for bit in range(8):  # the, be, to, of, and, that, have, with
        if stop_words[bit] == code:
            return 1 << bit
    return 0


@kernel
def _read_word(
    data: npt.NDArray[np.uint8], i: Integer, end: Integer, letters: npt.NDArray[np.uint8]
) -> tuple[Integer, np.uint64, int, np.uint8, int, int]:
    """Read the word from ``i`` to white space or ``end``.

    Return its end, hash, characters, flags of its letters, and how many ``#`` and ellipses it holds.
    """
    hashed, characters, flags = HASH_BASIS, 0, np.uint8(0)
    hashes = ellipses = dots = 0
    while i < end:
        point, width = decode(data, i)
        kind = letters[point]
        if (kind & _BLANK) != 0:
            break
        hashed = (hashed ^ np.uint64(point)) * HASH_PRIME
        characters += 1
        flags |= kind
        i += width
        if (kind & _SPOKEN) != 0:
            dots = 0
            continue
        dots = dots + 1 if point == _DOT else 0
        ellipses += point == _ELLIPSIS or (dots > 0 and dots % 3 == 0)
        hashes += point == _HASH
    return i, mix64(hashed), characters, flags, hashes, ellipses


@kernel
def _count_word(
    data: npt.NDArray[np.uint8],
    start: Integer,
    end: Integer,
    letters: npt.NDArray[np.uint8],
    words: npt.NDArray[np.uint64],
    word_ends: npt.NDArray[np.int64],
    counts: npt.NDArray[np.int64],
) -> tuple[Integer, int]:
    """Count and store the word from ``start`` to white space or ``end``; return its end and stop-word bit."""
    stop_word = 0
    i, hashed, characters, flags, hashes, ellipses = _read_word(data, start, end, letters)
    counts[WORDS] += 1
    counts[HASHES] += hashes
    counts[ELLIPSES] += ellipses
    counts[ALPHABETIC_WORDS] += (flags & _ALPHABETIC) != 0
    if (flags & _SPOKEN) != 0:
        counts[SIGNIFICANT_WORDS] += 1
        counts[SIGNIFICANT_CHARACTERS] += characters
        stop_word = _stop_word(data, start, i, letters)
    _store_word(hashed, characters, words, word_ends, counts)
    return i, stop_word


@kernel
def _store_word(
    hashed: np.uint64,
    characters: Integer,
    words: npt.NDArray[np.uint64],
    word_ends: npt.NDArray[np.int64],
    counts: npt.NDArray[np.int64],
) -> None:
    stored = counts[STORED_WORDS]
    if stored < len(words):
        words[stored] = hashed
        word_ends[stored + 1] = word_ends[stored] + characters
        counts[STORED_WORDS] += 1


@kernel
def count_words(
    data: npt.NDArray[np.uint8],
    start: Integer,
    end: Integer,
    letters: npt.NDArray[np.uint8],
    rule: WordRule,
    parts: Parts,
    counts: npt.NDArray[np.int64],
) -> None:
    """Count and store the words of a document, as the rule cuts them."""
    english, signs, entries, lengths, cuts = rule
    words, word_ends = parts.words, parts.word_ends
    seen_stop_words = 0
    word_ends[0] = 0
    i = start
    while i < end:
        point, width = decode(data, i)
        if (letters[point] & _BLANK) != 0:
            i += width
            continue
        if not english:
            i, bit = _count_word(data, i, end, letters, words, word_ends, counts)
            seen_stop_words |= bit
            continue
        stop, hashed = plain_word(data, i, end, letters, entries, lengths)
        if stop > i:
            counts[WORDS] += 1
            counts[ALPHABETIC_WORDS] += 1
            counts[SIGNIFICANT_WORDS] += 1
            counts[SIGNIFICANT_CHARACTERS] += stop - i
            seen_stop_words |= _stop_word_bit(data, i, stop)
            _store_word(hashed, stop - i, words, word_ends, counts)
            i = stop
            continue
        stop = stretch_end(data, i, end, letters)
        for w in range(cut_words(data, i, stop, signs, entries, lengths, cuts)):
            i, bit = _count_word(data, i, cuts[w], letters, words, word_ends, counts)
            seen_stop_words |= bit
    for bit in range(8):
        counts[STOP_WORDS] += (seen_stop_words >> bit) & 1


@kernel
def count_lines(
    data: npt.NDArray[np.uint8],
    start: Integer,
    end: Integer,
    letters: npt.NDArray[np.uint8],
    parts: Parts,
    counts: npt.NDArray[np.int64],
) -> None:
    """Count lines, which end in LF, blank ones among them, and store those that are not empty.

    Two LF or more separate paragraphs.
    """
    lines = paragraphs = 0
    paragraph, paragraph_size = HASH_BASIS, np.int64(0)
    i = start
    while i <= end:
        stop = line_end(data, i, end)
        hashed, characters = hash_line(data, i, stop)
        counts[CHARACTERS] += characters + (stop < end)
        counts[LINES] += 1
        first, last = trim(data, i, stop, letters)
        if last > first:
            counts[BULLET_LINES] += decode(data, first)[0] in (_BULLET, _HYPHEN)
            counts[ELLIPSIS_LINES] += ends_in_ellipsis(data, first, last)
        if characters and lines < len(parts.lines):
            parts.lines[lines], parts.line_sizes[lines] = hashed, characters
            lines += 1
        if characters:
            # a single line feed is part of the paragraph
            paragraph_size += characters + (paragraph_size > 0)
            paragraph = mix64((paragraph ^ hashed) * HASH_PRIME)
        if paragraph_size and (characters == 0 or stop == end):
            if paragraphs < len(parts.paragraphs):
                parts.paragraphs[paragraphs], parts.paragraph_sizes[paragraphs] = paragraph, paragraph_size
                paragraphs += 1
            paragraph, paragraph_size = HASH_BASIS, np.int64(0)
        i = stop + 1
    counts[STORED_LINES], counts[STORED_PARAGRAPHS] = lines, paragraphs
