"""What the kernels need to know of each code point, as arrays indexed by it; built from ``unicodedata``."""

from __future__ import annotations

import string
import unicodedata
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

UnicodeForm = Literal["NFC", "NFKC"]

WHITESPACE = 1
ALPHANUMERIC = 2
MARK = 4

VISIBLE, BLANK, BREAK, REMOVED, CONTROL = range(5)

FOLD_SKIP = 0
FOLD_SEPARATOR = 1
FOLD_DIGIT = 2
#: Ends a string as a separator does, even an empty one.
FOLD_SPLIT = 3
#: This and above are letters, by their folded code point.
FOLD_LETTER = 4
#: Added to the folded code point of a script written without spaces: the character is a word by itself.
FOLD_ALONE = 1 << 24

_POINTS = 0x110000
# Everything with properties of its own lies here; above are ideographs, tags and private use.
_DENSE_END = 0x20000
_IDEOGRAPHS = (0x20000, 0x323B0)
_COMPATIBILITY_IDEOGRAPHS = (0x2F800, 0x2FA20)
_TAGS = (0xE0001, 0xE01F0)
_ALONE = ((0x0E00, 0x0F00), (0x3040, 0x3100), (0x3400, 0x4DC0), (0x4E00, 0xA000), (0xF900, 0xFB00))
_HANGUL = (0xAC00, 0xD7A4)
#: datatrove's punctuation: that of ASCII, and these.
_TAKEN_OUT = frozenset(string.punctuation + "—”％〈（、━【「」，】；“《„’∶´．–？！：～«〉》）。…►»")


@lru_cache(maxsize=1)
def classes() -> npt.NDArray[np.uint8]:
    """Flags WHITESPACE, ALPHANUMERIC (``str.isspace``, ``str.isalnum``) and MARK (category M*)."""
    table = np.zeros(_POINTS, np.uint8)
    for point in _described():
        character = chr(point)
        table[point] = (
            WHITESPACE * character.isspace()
            + ALPHANUMERIC * character.isalnum()
            + MARK * unicodedata.category(character).startswith("M")
        )
    table[slice(*_IDEOGRAPHS)] = ALPHANUMERIC
    for point in range(*_IDEOGRAPHS):
        if not chr(point).isalnum():
            table[point] = 0
    return table


@lru_cache(maxsize=1)
def actions() -> npt.NDArray[np.uint8]:
    """Return what normalisation does with each code point.

    VISIBLE and BLANK characters stay, and each BREAK becomes LF: LF, VT, FF, CR, NEL, U+2028 and U+2029. A
    CONTROL separates words: the other C0 and C1 controls except TAB, and DEL. The byte order mark is REMOVED.
    """
    table = np.where(classes() & WHITESPACE, BLANK, VISIBLE).astype(np.uint8)
    table[:0x20] = table[0x7F:0xA0] = CONTROL
    table[0xFEFF] = REMOVED
    table[0x09] = BLANK
    table[[0x0A, 0x0B, 0x0C, 0x0D, 0x85, 0x2028, 0x2029]] = BREAK
    return table


@lru_cache(maxsize=2)
def unstable(form: UnicodeForm) -> npt.NDArray[np.bool_]:
    """Code points whose presence means that a text may not be in ``form`` (NFC or NFKC) yet.

    A text without any is in that form: none of its characters changes alone, none is reordered (combining
    class 0 throughout) and none joins the one before it.
    """
    table = np.zeros(_POINTS, np.bool_)
    for point in _described():
        character = chr(point)
        table[point] = unicodedata.combining(character) != 0 or (
            unicodedata.normalize(form, character) != character
        )
        decomposition = unicodedata.decomposition(character)
        if decomposition and not decomposition.startswith("<"):
            for joined in decomposition.split()[1:]:
                table[int(joined, 16)] = True
    table[0x1161:0x1200] = True  # Hangul vowels and finals join by rule, without entries of their own
    return table


@lru_cache(maxsize=3)
def folds(name: str) -> npt.NDArray[np.uint32]:
    """What near dedup compares, by the ``fold`` of its recipe: a folded code point, or FOLD_*."""
    return {"datatrove": _datatrove, "lower_case": _lower_case, "identifiers": _identifiers}[name]()


def _datatrove() -> npt.NDArray[np.uint32]:
    """Lower case without diacritics (the normalisation of FineWeb's MinHash, as datatrove has it).

    Digits fold into FOLD_DIGIT; white space, controls and the punctuation that datatrove takes out into
    FOLD_SEPARATOR, combining marks into FOLD_SKIP. Any other punctuation or symbol is a word by itself, as
    spaCy cuts it: pages of one template share theirs.
    """
    table = np.arange(_POINTS, dtype=np.uint32)
    for point in _described():
        table[point] = _fold(chr(point))
    for start, end in (*_ALONE, _IDEOGRAPHS):
        span = table[start:end]
        span[span > FOLD_DIGIT] |= FOLD_ALONE
    table[ord("ς")] = ord("σ")  # lower case of Σ depends on its place in the word
    return table


def _lower_case() -> npt.NDArray[np.uint32]:
    """Lower case; white space is FOLD_SEPARATOR, ``string.punctuation`` FOLD_SKIP.

    İ, whose lower case is two characters, stays as it is.
    """
    table = np.arange(_POINTS, dtype=np.uint32)
    table[:FOLD_LETTER] += _POINTS
    for point in _described():
        lower = chr(point).lower()
        if len(lower) == 1 and ord(lower) != point:
            table[point] = ord(lower)
    table[ord("ς")] = ord("σ")
    table[(classes() & WHITESPACE) != 0] = FOLD_SEPARATOR
    table[[ord(mark) for mark in string.punctuation]] = FOLD_SKIP
    return table


def _identifiers() -> npt.NDArray[np.uint32]:
    """ASCII letters, digits and the underscore; all else is FOLD_SPLIT."""
    table = np.full(_POINTS, FOLD_SPLIT, np.uint32)
    kept = [ord(character) for character in f"{string.ascii_letters}{string.digits}_"]
    table[kept] = kept
    return table


def _fold(character: str) -> int:
    category = unicodedata.category(character)
    if category == "Nd":
        return FOLD_DIGIT
    if category == "Mn":
        return FOLD_SKIP
    if category[0] in "ZC" or character.isspace() or character in _TAKEN_OUT:
        return FOLD_SEPARATOR
    if category[0] in "PS":
        return ord(character) | FOLD_ALONE
    if _HANGUL[0] <= ord(character) < _HANGUL[1]:
        return ord(character)
    for part in unicodedata.normalize("NFD", character.lower()):
        if unicodedata.category(part) != "Mn":
            return ord(part)
    return FOLD_SKIP


@lru_cache(maxsize=1)
def windows_1252_bytes() -> npt.NDArray[np.uint8]:
    """The byte that a wrong decoding as Windows-1252 (or Latin-1) made this character of; 0 for none.

    Covers U+0080 to U+2122: index by code point, which is to be below the length.
    """
    table = np.zeros(0x2123, np.uint8)
    for byte in range(0x80, 0x100):
        table[byte] = byte  # Latin-1, and the bytes that Windows-1252 leaves undefined
        try:
            table[ord(bytes([byte]).decode("cp1252"))] = byte
        except UnicodeDecodeError:
            continue
    return table


def _described() -> list[int]:
    return [*range(_DENSE_END), *range(*_COMPATIBILITY_IDEOGRAPHS), *range(*_TAGS)]
