"""C4's line and page rules (arXiv 1910.10683, section 2.2), in the order of datatrove's ``C4QualityFilter``.

That in turn follows ``c4_utils`` of tensorflow_datasets, with which C4 was made: its line rules on
citations, policies and long words are not in the paper.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from include.contracts.documents import DropReason
from include.recipes.quality import C4Recipe
from spark_jobs.filters.drops import drop_violations
from spark_jobs.kernels.compiled import Integer, array_kernel, kernel
from spark_jobs.kernels.letters import BLANK, LOWER, SPOKEN, letters
from spark_jobs.kernels.lines import ends_in_ellipsis, line_end, trim, words_of
from spark_jobs.kernels.text import decode
from spark_jobs.runtime.columns import buffers, strings

_BLANK, _LOWER, _SPOKEN = np.uint8(BLANK), np.uint8(LOWER), np.uint8(SPOKEN)
_LINE_FEED, _OPEN, _CLOSE, _CURLY = 0x0A, 0x5B, 0x5D, 0x7B

_PHRASES = (
    "lorem ipsum",
    "javascript",
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
)
_LONGEST_PHRASE = 14
_PHRASE_SIZES = np.array([len(phrase) for phrase in _PHRASES])
_PHRASE_BYTES = np.array([list(phrase.ljust(_LONGEST_PHRASE).encode()) for phrase in _PHRASES], np.uint8)
_LOREM_IPSUM, _JAVASCRIPT, _CURLY_BRACKET = 1, 2, 1 << len(_PHRASES)

_EDIT = np.frombuffer(b"edit]", np.uint8)
_CITATION_NEEDED = np.frombuffer(b"citation needed]", np.uint8)

KEPT, LOREM_IPSUM, CURLY_BRACKET, TOO_FEW_SENTENCES, NO_LINES = range(5)


def _pair_masks() -> npt.NDArray[np.int64]:
    """Return the bits of phrases by their first and by their second byte (in either case)."""
    masks = np.zeros((2, 256), np.int64)
    for bit, phrase in enumerate(_PHRASES):
        for place in range(2):
            for letter in (phrase[place].lower(), phrase[place].upper()):
                masks[place, ord(letter)] |= 1 << bit
    return masks


_PAIR_MASKS = _pair_masks()


class LineRules(NamedTuple):
    """The conditions for a line to stay. ``curly_brackets`` drops the page; 0 switches a number off."""

    min_words: int
    max_word_length: int
    end_marks: bool
    curly_brackets: bool


@kernel
def _starts_with(data: npt.NDArray[np.uint8], i: Integer, end: Integer, word: npt.NDArray[np.uint8]) -> bool:
    if i + len(word) > end:
        return False
    k = 0
    while k < len(word) and data[i + k] == word[k]:
        k += 1
    return k == len(word)


@kernel
def _citation_end(data: npt.NDArray[np.uint8], i: Integer, end: Integer) -> Integer:
    """Return the end of Wikipedia's ``[12]``, ``[edit]`` or ``[citation needed]`` at ``i``, else ``i``."""
    inner = i + 1
    while inner < end and 0x30 <= data[inner] <= 0x39:
        inner += 1
    if inner < end and data[inner] == _CLOSE:
        return inner + 1
    if _starts_with(data, i + 1, end, _EDIT):
        return i + 1 + len(_EDIT)
    if _starts_with(data, i + 1, end, _CITATION_NEEDED):
        return i + 1 + len(_CITATION_NEEDED)
    return i


@kernel
def _copy_without_citations(
    data: npt.NDArray[np.uint8], start: Integer, end: Integer, out: npt.NDArray[np.uint8], o: Integer
) -> Integer:
    """Copy a line into ``out`` without its citation marks. Return where the copy ends."""
    i = start
    while i < end:
        if data[i] == _OPEN:
            behind = _citation_end(data, i, end)
            if behind > i:
                i = behind
                continue
        out[o] = data[i]
        i, o = i + 1, o + 1
    return o


@kernel
def _ends_well(data: npt.NDArray[np.uint8], start: Integer, end: Integer) -> bool:
    """Return True if the line ends in one of ``. ? ! " '`` and not in an ellipsis of dots."""
    marked = data[end - 1] in (0x2E, 0x3F, 0x21, 0x22, 0x27)
    return marked and not ends_in_ellipsis(data, start, end)


@kernel
def _phrases(data: npt.NDArray[np.uint8], start: Integer, end: Integer) -> int:
    """Return the bits of the _PHRASES that occur, in either case of ASCII, and of the curly bracket."""
    found = 0
    for i in range(start, end):
        if data[i] == _CURLY:
            found |= _CURLY_BRACKET
        candidates = _PAIR_MASKS[0, data[i]]
        if candidates == 0 or i + 1 >= end:
            continue
        candidates &= _PAIR_MASKS[1, data[i + 1]]
        for p in range(len(_PHRASE_SIZES)):
            if (candidates >> p) & 1 == 0 or i + _PHRASE_SIZES[p] > end:
                continue
            k = 2
            while k < _PHRASE_SIZES[p]:
                letter = data[i + k]
                if 0x41 <= letter <= 0x5A:
                    letter += np.uint8(0x20)
                if letter != _PHRASE_BYTES[p, k]:
                    break
                k += 1
            if k == _PHRASE_SIZES[p]:
                found |= 1 << p
    return found


@kernel
def _sentences(
    data: npt.NDArray[np.uint8], start: Integer, end: Integer, letters: npt.NDArray[np.uint8]
) -> int:
    """Count the sentences of a line.

    A sentence ends at ``. ? !``, closing quotes and brackets, and white space, if the next letter or digit is
    not a small letter. datatrove calls spaCy's sentencizer, which knows abbreviations and ignores case.
    """
    sentences, ended, separated = 1, False, False
    i = start
    while i < end:
        point, width = decode(data, i)
        i += width
        if (letters[point] & _BLANK) != 0:
            separated = separated or ended
            continue
        if separated and (letters[point] & _SPOKEN) != 0:
            sentences += (letters[point] & _LOWER) == 0
            ended = separated = False
        closes = point in (0x22, 0x27, 0x29, 0x5D)  # " ' ) ]
        ended = point in (0x2E, 0x3F, 0x21) or (ended and closes)
    return sentences


@kernel
def _rewrite_page(
    data: npt.NDArray[np.uint8],
    start: Integer,
    end: Integer,
    letters: npt.NDArray[np.uint8],
    rules: LineRules,
    out: npt.NDArray[np.uint8],
    o: Integer,
) -> tuple[Integer, int, int]:
    """Copy the lines that stay, each with a LF. Return their end in ``out``, sentences and verdict."""
    sentences = 0
    i = start
    while i <= end:
        stop = line_end(data, i, end)
        first, last = trim(data, i, stop, letters)
        i = stop + 1
        words, longest = words_of(data, first, last, letters)
        if words < max(rules.min_words, 1) or 0 < rules.max_word_length < longest:
            continue
        line_start, line_stop = trim(out, o, _copy_without_citations(data, first, last, out, o), letters)
        if line_start == line_stop or (rules.end_marks and not _ends_well(out, line_start, line_stop)):
            continue
        found = _phrases(out, line_start, line_stop)
        if found & _LOREM_IPSUM:
            return o, sentences, LOREM_IPSUM
        if found & _JAVASCRIPT:
            continue
        if rules.curly_brackets and found & _CURLY_BRACKET:
            return o, sentences, CURLY_BRACKET
        if found & ~_CURLY_BRACKET:
            continue
        sentences += _sentences(out, line_start, line_stop, letters)
        for k in range(line_start, line_stop):
            out[o] = out[k]
            o += 1
        out[o] = _LINE_FEED
        o += 1
    return o, sentences, KEPT


@array_kernel
def rewrite(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int32],
    letters: npt.NDArray[np.uint8],
    rules: LineRules,
    min_sentences: int,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    """Return new bytes and offsets, and for each document KEPT or why it is dropped (its new text is empty).

    Lines end in LF, as after normalisation.
    """
    documents = len(offsets) - 1
    out = np.empty(offsets[documents] - offsets[0] + 1, np.uint8)
    out_offsets, verdicts = np.zeros(documents + 1, np.int32), np.zeros(documents, np.uint8)
    o: Integer = np.int64(0)
    for d in range(documents):
        start, end = np.int64(offsets[d]), np.int64(offsets[d + 1])
        page_end, sentences, verdict = _rewrite_page(data, start, end, letters, rules, out, o)
        if verdict == KEPT and sentences < min_sentences:
            verdict = TOO_FEW_SENTENCES
        elif verdict == KEPT and page_end == o:
            verdict = NO_LINES
        verdicts[d] = verdict
        if verdict == KEPT:
            o = page_end - 1  # without the last line feed
        out_offsets[d + 1] = o
    return out[:o], out_offsets, verdicts


def rewrite_c4(batch: pa.RecordBatch, recipe: C4Recipe, dropped: Counter[str]) -> pa.RecordBatch:
    """Return the batch with the lines that C4 keeps in ``text``; count the documents that it drops.

    The reason is the first that a line gives from the top, or at the end too few sentences.
    """
    if not recipe.enabled:
        return batch
    rules = LineRules(
        recipe.min_words_per_line,
        recipe.max_word_length,
        recipe.filter_no_terminal_punct,
        recipe.filter_curly_bracket,
    )
    data, offsets = buffers(batch.column("text"))
    new_data, new_offsets, verdicts = rewrite(data, offsets, letters(), rules, recipe.min_num_sentences)
    batch = batch.set_column(batch.schema.get_field_index("text"), "text", strings(new_data, new_offsets))
    violations = {
        DropReason.C4_LOREM_IPSUM.value: verdicts == LOREM_IPSUM,
        DropReason.C4_CURLY_BRACKET.value: verdicts == CURLY_BRACKET,
        DropReason.C4_TOO_FEW_SENTENCES.value: verdicts == TOO_FEW_SENTENCES,
        DropReason.C4_NO_LINES.value: verdicts == NO_LINES,
    }
    return drop_violations(batch, violations, dropped)
