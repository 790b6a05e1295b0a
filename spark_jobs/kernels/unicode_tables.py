"""Properties of code points, as arrays indexed by code point and built from ``unicodedata``."""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Callable
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
#: Ends a word as a separator does, also an empty word.
FOLD_SPLIT = 3
#: This value and all above are folded code points of letters.
FOLD_LETTER = 4
#: Added to the folded code point of a character that is a word by itself: a letter of SCRIPTS_WITHOUT_SPACES
#: or a sign. N-grams of characters ignore it.
FOLD_ALONE = 1 << 24

_POINTS = 0x110000
# Code points from here on are ideographs, tags and private use, which share their properties.
_DENSE_END = 0x20000
_IDEOGRAPHS = (0x20000, 0x323B0)
_COMPATIBILITY_IDEOGRAPHS = (0x2F800, 0x2FA20)
_TAGS = (0xE0001, 0xE01F0)
_ETHIOPIC_WORDSPACE = 0x1361
#: Half-open ranges of code points of the scripts that are written without spaces between words: those of the
#: line breaking classes SA, ID and CJ (Unicode Standard Annex 14), Tibetan, Balinese and Javanese.
SCRIPTS_WITHOUT_SPACES = (
    (0x0E00, 0x0F00),  # Thai, Lao
    (0x0F00, 0x1000),  # Tibetan
    (0x1000, 0x10A0),  # Myanmar
    (0x1780, 0x1800),  # Khmer
    (0x1950, 0x1A00),  # Tai Le, New Tai Lue, Khmer symbols
    (0x1A20, 0x1AB0),  # Tai Tham
    (0x1B00, 0x1B80),  # Balinese
    (0x2E80, 0x2FE0),  # radicals of ideographs
    (0x3005, 0x3008),  # ideographic iteration mark, closing mark and zero
    (0x3021, 0x302A),  # Hangzhou numerals
    (0x3031, 0x3036),  # kana repeat marks
    (0x3038, 0x303D),  # Hangzhou numerals, ideographic iteration marks
    (0x3040, 0x3100),  # kana
    (0x3100, 0x3130),  # Bopomofo
    (0x31A0, 0x31C0),  # Bopomofo
    (0x31F0, 0x3200),  # kana
    (0x3400, 0x4DC0),  # ideographs
    (0x4E00, 0xA000),  # ideographs
    (0xA000, 0xA4D0),  # Yi
    (0xA980, 0xAA00),  # Javanese, Myanmar
    (0xAA60, 0xAAE0),  # Myanmar, Tai Viet
    (0xF900, 0xFB00),  # ideographs
    (0xFF66, 0xFFA0),  # kana of half width
    (0x11700, 0x11750),  # Ahom
    (0x16FE0, 0x18D90),  # Tangut, Khitan
    (0x1AFF0, 0x1B300),  # kana, Nushu
    _IDEOGRAPHS,
)
_HANGUL = (0xAC00, 0xD7A4)
#: datatrove's punctuation: that of ASCII, and these.
_TAKEN_OUT = frozenset(string.punctuation + "—”％〈（、━【「」，】；“《„’∶´．–？！：～«〉》）。…►»")


@lru_cache(maxsize=1)
def classes() -> npt.NDArray[np.uint8]:
    """Return the flags WHITESPACE (``str.isspace``), ALPHANUMERIC (``str.isalnum``) and MARK (category M)."""
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
    """Flag the code points that may change when a text is normalised to ``form`` (NFC or NFKC).

    A text without such code points is in this form: no character of it changes, is reordered (all have the
    combining class 0) or is composed with the one before it.
    """
    table = np.zeros(_POINTS, np.bool_)
    for point in _described():
        character = chr(point)
        if unicodedata.combining(character) or unicodedata.normalize(form, character) != character:
            table[point] = True
        decomposition = unicodedata.decomposition(character)
        if decomposition and not decomposition.startswith("<"):
            for joined in decomposition.split()[1:]:
                table[int(joined, 16)] = True
    table[0x1161:0x1200] = (
        True  # Hangul vowels and finals are composed by a rule, not by entries in unicodedata
    )
    return table


@lru_cache(maxsize=3)
def folds(name: str) -> npt.NDArray[np.uint32]:
    """Return the table by which near dedup folds code points: to another code point, or to FOLD_*.

    ``name`` is the ``fold`` of the recipe: datatrove, lower_case or identifiers.
    """
    return {"datatrove": _datatrove, "lower_case": _lower_case, "identifiers": _identifiers}[name]()


def _datatrove() -> npt.NDArray[np.uint32]:
    """Fold to lower case without diacritics, as datatrove normalises text for FineWeb's MinHash.

    Digits become FOLD_DIGIT. White space, controls and the punctuation that datatrove removes become
    FOLD_SEPARATOR, and combining marks FOLD_SKIP. Any other punctuation or symbol is a word by itself, as in
    spaCy. Pages made from one template have such signs in common.
    """
    table = np.arange(_POINTS, dtype=np.uint32)
    for point in _described():
        table[point] = _fold(chr(point))
    _set_alone(table)
    table[ord("ς")] = ord("σ")  # the lower case of Σ depends on its place in the word
    return table


def _lower_case() -> npt.NDArray[np.uint32]:
    """Fold to lower case. White space becomes FOLD_SEPARATOR, ``string.punctuation`` FOLD_SKIP.

    İ is not folded, because its lower case is two characters. Digits are letters: a number is one word.
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
    _set_alone(table)
    table[_ETHIOPIC_WORDSPACE] |= FOLD_ALONE
    return table


def _set_alone(table: npt.NDArray[np.uint32]) -> None:
    """Make each letter and sign of SCRIPTS_WITHOUT_SPACES a word by itself. Decimal digits are not."""
    alone = np.zeros(_POINTS, np.bool_)
    for start, end in SCRIPTS_WITHOUT_SPACES:
        alone[start:end] = True
    for point in np.flatnonzero(alone).tolist():
        alone[point] = not chr(point).isdecimal()
    table[alone & (table >= FOLD_LETTER)] |= FOLD_ALONE


def _identifiers() -> npt.NDArray[np.uint32]:
    """Keep ASCII letters, digits and the underscore. All other code points become FOLD_SPLIT."""
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
    """Return the byte that Windows-1252 or Latin-1 decodes to each character, or 0 for none.

    The array covers the code points below U+2123. All others have no such byte.
    """
    table = np.zeros(0x2123, np.uint8)
    for byte in range(0x80, 0x100):
        table[byte] = byte  # Latin-1, and the bytes that Windows-1252 leaves undefined
        try:
            table[ord(bytes([byte]).decode("cp1252"))] = byte
        except UnicodeDecodeError:
            continue
    return table


def marks(points: npt.NDArray[np.int64], test: Callable[[str], bool]) -> npt.NDArray[np.bool_]:
    """Return for each code point if the test is true of its character."""
    return np.fromiter(map(test, map(chr, points.tolist())), np.bool_, len(points))


def _described() -> list[int]:
    return [*range(_DENSE_END), *range(*_COMPATIBILITY_IDEOGRAPHS), *range(*_TAGS)]
