"""Splits English text into words nearly as spaCy's blank English tokenizer does, to count them.

Text is split at white space first. From each piece, signs are split off at both ends until it is one of the
``english_exceptions`` or has no more, and the rest is split at signs within it. There are two differences
from spaCy: emoticons are found only between signs, and letters of all scripts count as letters.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spark_jobs.kernels.compiled import Integer, kernel
from spark_jobs.kernels.english_exceptions import LONGEST
from spark_jobs.kernels.hashing import mix64
from spark_jobs.kernels.letters import BLANK
from spark_jobs.kernels.lines import HASH_BASIS, HASH_PRIME, character_before, hash_line
from spark_jobs.kernels.text import decode
from spark_jobs.kernels.word_rules import (
    BEFORE,
    BEHIND,
    CAPITAL,
    ENDS_SENTENCE,
    EXCEPTION,
    LETTER,
    LONGEST_UNIT,
    MONEY,
    QUOTE,
    SMALL,
    UNIT,
    WITHIN,
    WordRule,
)

_Signs = npt.NDArray[np.uint16]
_Entries = npt.NDArray[np.uint64]
_Lengths = npt.NDArray[np.uint32]

_EXCEPTION, _UNIT = np.uint64(EXCEPTION), np.uint64(UNIT)

_DOT, _COMMA, _PLUS, _MINUS, _STAR, _CARET, _TILDE, _AT, _SLASH, _COLON = (ord(sign) for sign in ".,+-*^~@/:")
_DOLLAR, _LESS, _EQUALS, _GREATER, _QUESTION, _HASH, _UNDERSCORE = (ord(sign) for sign in "$<=>?#_")
_EN_DASH, _EM_DASH, _APOSTROPHES = 0x2013, 0x2014, (0x27, 0x2019)


@kernel
def _entry(
    data: npt.NDArray[np.uint8], start: Integer, end: Integer, entries: _Entries, lengths: _Lengths
) -> np.uint64:
    """Return the flags and cuts of a string's entry (see ``WordRule``), or 0 if it has none."""
    if end - start > LONGEST or (lengths[data[start]] >> (end - start)) & 1 == 0:
        return np.uint64(0)
    return _value(hash_line(data, start, end)[0], entries)


@kernel
def _value(key: np.uint64, entries: _Entries) -> np.uint64:
    """Return the flags and cuts of the entry with this hash, or 0 if there is none."""
    mask = np.uint64(len(entries) - 1)
    slot = np.int64(key & mask)
    while entries[slot, 0] != 0:
        if entries[slot, 0] == key:
            return np.uint64(entries[slot, 1])
        slot = np.int64(np.uint64(slot + 1) & mask)
    return np.uint64(0)


@kernel
def _dots(data: npt.NDArray[np.uint8], start: Integer, end: Integer) -> Integer:
    """Return the number of consecutive full stops from ``start`` on."""
    i = start
    while i < end and data[i] == _DOT:
        i += 1
    return i - start


@kernel
def _is_digit(letter: Integer) -> bool:
    return bool(0x30 <= letter <= 0x39)


@kernel
def _before(data: npt.NDArray[np.uint8], start: Integer, end: Integer, signs: _Signs) -> Integer:
    """Return the number of bytes to split off at the start of the word, or 0."""
    point, width = decode(data, start)
    if point == _DOT:
        dots = _dots(data, start, end)
        return dots if dots > 1 else np.int64(0)
    if point == _PLUS:
        return np.int64(0) if start + 1 < end and _is_digit(data[start + 1]) else np.int64(1)
    if signs[point] & BEFORE:
        return width
    if point in (0x41, 0x43) and start + 1 < end and data[start + 1] == _DOLLAR:  # A$, C$
        return np.int64(2)
    if point == 0x55 and start + 2 < end and data[start + 1] == 0x53 and data[start + 2] == _DOLLAR:  # US$
        return np.int64(3)
    return np.int64(0)


@kernel
def _unit(
    data: npt.NDArray[np.uint8], start: Integer, end: Integer, entries: _Entries, lengths: _Lengths
) -> Integer:
    """Return the size in bytes of a unit at the end that follows a digit, or 0."""
    i = end
    while i > start and end - i <= LONGEST_UNIT and not _is_digit(data[i - 1]):
        i -= 1
    if i in (start, end) or not _is_digit(data[i - 1]):
        return np.int64(0)
    return end - i if _entry(data, i, end, entries, lengths) & _UNIT else np.int64(0)


@kernel
def _full_stop_is_cut(data: npt.NDArray[np.uint8], start: Integer, end: Integer, signs: _Signs) -> bool:
    """Return True if the full stop at ``end`` ends a sentence and not an abbreviation."""
    if end == start:
        return False
    last = character_before(data, end)
    flags = signs[decode(data, last)[0]]
    if flags & ENDS_SENTENCE:
        return True
    if flags & CAPITAL == 0 or last == start:
        return False
    return bool(signs[decode(data, character_before(data, last))[0]] & CAPITAL)


@kernel
def _behind(
    data: npt.NDArray[np.uint8],
    start: Integer,
    end: Integer,
    signs: _Signs,
    entries: _Entries,
    lengths: _Lengths,
) -> Integer:
    """Return the number of bytes to split off at the end of the word, or 0."""
    if start >= end:
        return np.int64(0)
    last = character_before(data, end)
    point, width = decode(data, last)
    if point == _DOT:
        first = end - 1
        while first > start and data[first - 1] == _DOT:
            first -= 1
        if end - first > 1:
            return end - first
        return np.int64(_full_stop_is_cut(data, start, end - 1, signs))
    if point in (0x53, 0x73) and last > start:  # 's
        mark = character_before(data, last)
        if decode(data, mark)[0] in _APOSTROPHES:
            return end - mark
    if signs[point] & BEHIND:
        return width
    digit = last > start and _is_digit(data[last - 1])
    if digit and (point == _PLUS or signs[point] & MONEY):
        return width
    if signs[point] & LETTER or point in (0x25, 0xB2, 0xB3):  # %, squares and cubes
        return _unit(data, start, end, entries, lengths)
    return np.int64(0)


@kernel
def _is_address(data: npt.NDArray[np.uint8], start: Integer, end: Integer, signs: _Signs) -> bool:
    """Return True for a URL or an e-mail address: dotted names that end in small letters, then a path."""
    host: Integer = start
    for k in range(start, end):
        if data[k] == _AT:
            host = k + 1
        elif data[k] == _COLON and k + 2 < end and data[k + 1] == _SLASH and data[k + 2] == _SLASH:
            host = k + 3
            break
    label: Integer = host
    dots = 0
    i = host
    while i < end:
        letter = data[i]
        if letter == _DOT:
            if i == label:
                return False
            dots += 1
            label = i + 1
        elif not (
            signs[letter] & LETTER or letter >= 0x80 or _is_digit(letter) or letter in (_MINUS, _UNDERSCORE)
        ):
            break
        i += 1
    if dots == 0 or i - label < 2:
        return False
    for k in range(label, i):
        if not (0x61 <= data[k] <= 0x7A or data[k] >= 0x80):
            return False
    return i == end or data[i] in (_COLON, _SLASH, _QUESTION, _HASH)


@kernel
def _stands_between(point: Integer, previous: Integer, following: Integer, signs: _Signs) -> bool:
    """Return True if the sign ``point`` between these two characters is a word by itself."""
    before, behind = signs[previous], signs[following]
    if point == _DOT:
        return bool(before & (SMALL | QUOTE) and behind & (CAPITAL | QUOTE))
    if point == _COMMA:
        return bool(before & LETTER and behind & LETTER)
    counted = _is_digit(following) or following == _MINUS
    if point in (_PLUS, _MINUS, _STAR, _CARET) and _is_digit(previous) and counted:
        return True
    if not (before & LETTER or _is_digit(previous)) or not behind & LETTER:
        return False
    return point in (_COLON, _LESS, _EQUALS, _GREATER, _SLASH, _TILDE, _MINUS, _EN_DASH, _EM_DASH)


@kernel
def _within(
    data: npt.NDArray[np.uint8], i: Integer, end: Integer, previous: Integer, signs: _Signs
) -> Integer:
    """Return the size in bytes of the sign at ``i`` if it is a word by itself, or 0."""
    point, width = decode(data, i)
    flags = signs[point]
    if flags & WITHIN:
        return width
    if point > _EM_DASH or flags & LETTER:
        return np.int64(0)
    if point == _DOT and _dots(data, i, end) > 1:
        return _dots(data, i, end)
    stop = i + width
    if stop >= end:
        return np.int64(0)
    following, _ = decode(data, stop)
    if _stands_between(point, previous, following, signs):
        return width
    if point not in (_MINUS, _EM_DASH) or following != point:
        return np.int64(0)
    # two or three hyphens, or two dashes
    most = i + (3 if point == _MINUS else 2) * width
    while stop < min(end, most) and decode(data, stop)[0] == point:
        stop += width
    letters = signs[previous] & LETTER or _is_digit(previous)
    if letters and stop < end and signs[decode(data, stop)[0]] & LETTER:
        return stop - i
    return np.int64(0)


@kernel
def _is_plain(data: npt.NDArray[np.uint8], start: Integer, end: Integer) -> bool:
    """Return True if all characters are ASCII letters. Only an exception can split them."""
    i = start
    while i < end and 0x61 <= (data[i] | 0x20) <= 0x7A:
        i += 1
    return bool(i == end)


@kernel
def _affixes(
    data: npt.NDArray[np.uint8],
    start: Integer,
    end: Integer,
    signs: _Signs,
    entries: _Entries,
    lengths: _Lengths,
) -> tuple[Integer, Integer, np.uint64]:
    """Return the numbers of bytes to split off at both ends, and the entry of the rest or 0."""
    before = _before(data, start, end, signs)
    if before and start + before < end:
        entry = _entry(data, start + before, end, entries, lengths)
        if entry & _EXCEPTION:
            return before, np.int64(0), entry
    behind = _behind(data, start + before, end, signs, entries, lengths)
    if behind and start < end - behind:
        entry = _entry(data, start, end - behind, entries, lengths)
        if entry & _EXCEPTION:
            return np.int64(0), behind, entry
    return before, behind, np.uint64(0)


@kernel
def cut_words(
    data: npt.NDArray[np.uint8],
    start: Integer,
    end: Integer,
    signs: _Signs,
    entries: _Entries,
    lengths: _Lengths,
    cuts: npt.NDArray[np.int64],
) -> int:
    """Split text without white space. Write the ends of its words to ``cuts`` and return their number.

    The tables are fields of a WordRule. Passing the tuple for every word would cost more than the split.
    """
    left, right, room = 0, 0, len(cuts)
    entry = np.uint64(0)
    while start < end and left + right + 2 < room:
        entry = _entry(data, start, end, entries, lengths)
        if entry & _EXCEPTION or _is_plain(data, start, end):
            break
        before, behind, entry = _affixes(data, start, end, signs, entries, lengths)
        if before:
            start = start + before
            cuts[left] = start
            left += 1
        if behind:
            right += 1
            cuts[room - right] = end
            end = end - behind
        if entry or (before == 0 and behind == 0):
            break
    left = _cut_middle(data, start, end, entry, left, signs, cuts[: room - right])
    for k in range(right):
        cuts[left] = cuts[room - right + k]
        left += 1
    return left


@kernel
def _cut_middle(
    data: npt.NDArray[np.uint8],
    start: Integer,
    end: Integer,
    entry: np.uint64,
    left: int,
    signs: _Signs,
    cuts: npt.NDArray[np.int64],
) -> int:
    """Split the text between the signs at both ends: an exception by its entry, other text at signs.

    Write the ends of words to ``cuts`` from index ``left`` on. Return the number of all cuts.
    """
    if start >= end:
        return left
    if entry & _EXCEPTION:
        for shift in (8, 16):
            cut = np.int64((entry >> np.uint64(shift)) & np.uint64(0xFF))
            if cut and left + 1 < len(cuts):
                cuts[left] = start + cut
                left += 1
    elif not _is_plain(data, start, end) and not _is_address(data, start, end, signs):
        word: Integer = start
        size: Integer = np.int64(0)
        previous, size = decode(data, start)
        i = start + size
        while i < end:
            size = _within(data, i, end, previous, signs)
            if size and left + 3 < len(cuts):
                if i > word:
                    cuts[left] = i
                    left += 1
                word = i + size
                cuts[left] = word
                left += 1
            if size == 0:
                size = decode(data, i)[1]
            previous = decode(data, character_before(data, i + size))[0]
            i += size
        if word == end:
            return left
    cuts[left] = end
    return left + 1


@kernel
def plain_word(
    data: npt.NDArray[np.uint8],
    start: Integer,
    end: Integer,
    letters: npt.NDArray[np.uint8],
    entries: _Entries,
    lengths: _Lengths,
) -> tuple[Integer, np.uint64]:
    """Return the end and the hash of a word of ASCII letters between white space; ``start`` if there is none.

    Two of three words are such. The hash is that of ``hash_line``.
    """
    hashed = HASH_BASIS
    stop = start
    while stop < end and 0x61 <= (data[stop] | 0x20) <= 0x7A:
        hashed = (hashed ^ np.uint64(data[stop])) * HASH_PRIME
        stop += 1
    hashed = mix64(hashed)
    if stop < end and (data[stop] >= 0x80 or (letters[data[stop]] & BLANK) == 0):
        return start, hashed
    may_be_entry = stop - start <= LONGEST and (lengths[data[start]] >> (stop - start)) & 1 != 0
    if may_be_entry and _value(hashed, entries) & _EXCEPTION:
        return start, hashed
    return stop, hashed


@kernel
def stretch_end(
    data: npt.NDArray[np.uint8], start: Integer, end: Integer, letters: npt.NDArray[np.uint8]
) -> Integer:
    """Return the position of the first white space from ``start`` on, or ``end``."""
    stop = start
    while stop < end:
        point, width = decode(data, stop)
        if letters[point] & BLANK:
            break
        stop += width
    return stop


@kernel
def count_words(
    data: npt.NDArray[np.uint8], start: Integer, end: Integer, letters: npt.NDArray[np.uint8], rule: WordRule
) -> int:
    """Return the number of words in a text by ``rule``."""
    english, signs, entries, lengths, cuts = rule
    words = 0
    i = start
    while i < end:
        point, width = decode(data, i)
        if letters[point] & BLANK:
            i += width
            continue
        stop = plain_word(data, i, end, letters, entries, lengths)[0] if english else i
        if stop > i:
            words += 1
        else:
            stop = stretch_end(data, i, end, letters)
            words += cut_words(data, i, stop, signs, entries, lengths, cuts) if english else 1
        i = stop
    return words
