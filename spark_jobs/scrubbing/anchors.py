"""A fast search for positions where personal data or a secret may begin.

Every match has a candidate, but a candidate need not be a match: ``personal_data.py`` holds the definitions.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spark_jobs.kernels.compiled import Integer, array_kernel, kernel

#: Kinds of candidates. If two begin at the same byte, the lower number is tried first.
ASSIGNED, EMAIL, IPV4, IPV6, PHONE, TOKEN = range(6)

#: Maximum bytes before the ``@`` of an e-mail address (RFC 5321, section 4.5.3.1.1).
LOCAL_BYTES = 64

_DIGIT, _LETTER, _HEX, _LOCAL, _ANCHOR = 1, 2, 4, 8, 16
_WORD = _DIGIT | _LETTER
_AT, _PLUS, _MINUS, _DOT, _COLON, _EQUALS = 0x40, 0x2B, 0x2D, 0x2E, 0x3A, 0x3D
_OPEN, _CLOSE, _SPACE, _TAB, _UNDERSCORE = 0x28, 0x29, 0x20, 0x09, 0x5F
_QUOTE, _APOSTROPHE = 0x22, 0x27
_ZERO, _ONE, _TWO, _THREE = 0x30, 0x31, 0x32, 0x33
_I, _J, _X = 0x49, 0x4A, 0x78
_LOWER = 0x20
_BLANKS = 2  # around the sign of an assignment


def _classes() -> npt.NDArray[np.uint8]:
    table = np.zeros(256, np.uint8)
    for byte in range(128):
        character = chr(byte)
        table[byte] = (
            _DIGIT * character.isdigit()
            + _LETTER * (character.isalpha() or character == "_")
            + _HEX * (character in "0123456789abcdefABCDEF")
            + _LOCAL * (character.isalnum() or character in "._+-")
            + _ANCHOR * (character.isdigit() or character in "@+-_:=IJx")
        )
    return table


def _rows(words: tuple[str, ...]) -> npt.NDArray[np.uint8]:
    """Return words as rows of bytes, the last letter first, padded with zeros."""
    table = np.zeros((len(words), max(map(len, words)) + 1), np.uint8)
    for row, word in enumerate(words):
        table[row, : len(word)] = list(word[::-1].encode())
    return table


_CLASS = _classes()
#: Endings of names whose values are secrets, then the prefixes of tokens before ``_`` and before ``-``.
_NAMES = _rows(
    (
        *("password", "passwd", "passphrase", "pwd", "secret", "token"),
        *(f"{kind}{joint}key" for kind in ("api", "access", "secret", "auth") for joint in ("", "_", "-")),
    )
)
_UNDERSCORED = _rows(("ghp", "gho", "ghu", "ghs", "ghr", "github_pat", "hf", "npm", "sk_live", "rk_live"))
_HYPHENED = _rows(("sk", "glpat"))
_PEM = np.frombuffer(b"-----BEGIN ", np.uint8)


@kernel
def _ending(
    data: npt.NDArray[np.uint8], start: Integer, last: Integer, words: npt.NDArray[np.uint8], lower: int
) -> Integer:
    """Return the start of the word of ``words`` that ends at ``last`` (inclusive), -1 if there is none."""
    for row in range(len(words)):
        k = 0
        while words[row, k] and last - k >= start and (data[last - k] | lower) == (words[row, k] | lower):
            k += 1
        if words[row, k] == 0:
            return last - k + 1
    return -1


@kernel
def _digits(data: npt.NDArray[np.uint8], i: Integer, end: Integer, most: int) -> Integer:
    """Return the length of the run of digits at ``i``, at most ``most``."""
    count = 0
    while count < most and i + count < end and _CLASS[data[i + count]] & _DIGIT:
        count += 1
    return count


@kernel
def _is_quad(data: npt.NDArray[np.uint8], i: Integer, end: Integer) -> bool:
    for part in range(4):
        run = _digits(data, i, end, 4)
        if run == 0 or run > 3:
            return False
        i += run
        if part < 3:
            if i >= end or data[i] != _DOT:
                return False
            i += 1
    return True


@kernel
def _is_north_american(data: npt.NDArray[np.uint8], i: Integer, end: Integer) -> bool:
    """Test for area code, separator, three digits, separator, digit at ``i``.

    A parenthesis may be open before ``i``.
    """
    if i + 8 >= end or data[i] < _TWO or _digits(data, i, end, 4) != 3:
        return False
    i += 3
    if data[i] == _CLOSE:
        i += 1
    if data[i] in (_MINUS, _DOT, _SPACE):
        i += 1
    if _digits(data, i, end, 4) != 3 or i + 4 >= end:
        return False
    separator = data[i + 3]
    return separator in (_MINUS, _DOT, _SPACE) and (_CLASS[data[i + 4]] & _DIGIT) != 0


@kernel
def _number(
    data: npt.NDArray[np.uint8], start: Integer, i: Integer, end: Integer, run: Integer
) -> tuple[int, Integer]:
    """Return kind and start of the candidate with the first digits ``data[i:i + run]``, kind -1 if none."""
    following = data[i + run] if i + run < end else 0
    if following == _DOT and run <= 3 and _is_quad(data, i, end):
        return IPV4, i
    if run == 3 and following in (_MINUS, _DOT, _CLOSE):
        if _is_north_american(data, i, end):
            return PHONE, (i - 1 if i > start and data[i - 1] == _OPEN and following == _CLOSE else i)
    elif run == 1 and data[i] == _ONE and following in (_MINUS, _DOT, _SPACE):
        opened = i + 2 < end and data[i + 2] == _OPEN
        if _is_north_american(data, i + 2 + opened, end):
            return PHONE, i
    if data[i] == _TWO or data[i] == _THREE:
        k = i
        while k < end and k < i + 5 and _CLASS[data[k]] & _HEX:
            k += 1
        if k == i + 4 and k < end and data[k] == _COLON:
            return IPV6, i
    return -1, i


@kernel
def _token(data: npt.NDArray[np.uint8], start: Integer, i: Integer, end: Integer) -> Integer:
    """Return the start of the token whose prefix has its rarest character at ``i``, -1 if there is none."""
    byte = data[i]
    if byte == _UNDERSCORE:
        return _ending(data, start, i - 1, _UNDERSCORED, 0)
    if byte == _X:  # xox?-
        return (
            i if i + 4 < end and data[i + 1] == 0x6F and data[i + 2] == _X and data[i + 4] == _MINUS else -1
        )
    if byte == _J:  # eyJ
        return i - 2 if i - 2 >= start and data[i - 1] == 0x79 and data[i - 2] == 0x65 else -1
    if byte == _I:  # AKIA, ASIA, AIza
        if i + 2 < end and i - 1 >= start and data[i - 1] == 0x41 and data[i + 1] == 0x7A:
            return i - 1
        following = i + 1 < end and i - 2 >= start and data[i + 1] == 0x41
        return i - 2 if following and data[i - 2] == 0x41 and (data[i - 1] in (0x4B, 0x53)) else -1
    if i + len(_PEM) < end and data[i + 1] == _MINUS and (i == start or data[i - 1] != _MINUS):
        for k in range(len(_PEM)):
            if data[i + k] != _PEM[k]:
                return -1
        return i
    return _ending(data, start, i - 1, _HYPHENED, 0)


@kernel
def _assigned(data: npt.NDArray[np.uint8], start: Integer, i: Integer, end: Integer) -> Integer:
    """Return the start of the quoted value after a secret's ``name = "`` or ``"name": "``, -1 if none."""
    value = i + 1
    if value < end and data[value] == _EQUALS:  # :=
        return -1
    while value < end and value <= i + _BLANKS and (data[value] == _SPACE or data[value] == _TAB):
        value += 1
    if value + 1 >= end or (data[value] != _QUOTE and data[value] != _APOSTROPHE):
        return -1
    last = i - 1
    if last >= start and data[last] == _COLON:  # :=
        last -= 1
    while last >= start and last >= i - 1 - _BLANKS and (data[last] == _SPACE or data[last] == _TAB):
        last -= 1
    if last >= start and (data[last] == _QUOTE or data[last] == _APOSTROPHE):
        last -= 1
    return value + 1 if _ending(data, start, last, _NAMES, _LOWER) >= 0 else -1


@kernel
def _email(data: npt.NDArray[np.uint8], start: Integer, i: Integer, end: Integer) -> Integer:
    """Return the start of the local part before the ``@`` at ``i``, -1 if there is none.

    For a local part that is too long it is one byte before the longest allowed one.
    """
    if i + 1 >= end or not (_CLASS[data[i + 1]] & _WORD):
        return -1
    first = i
    while first > start and i - first <= LOCAL_BYTES and _CLASS[data[first - 1]] & _LOCAL:
        first -= 1
    return first if first < i else -1


@kernel
def _international(data: npt.NDArray[np.uint8], start: Integer, i: Integer, end: Integer) -> Integer:
    if i + 1 >= end or not (_CLASS[data[i + 1]] & _DIGIT) or data[i + 1] == _ZERO:
        return -1
    return -1 if i > start and _CLASS[data[i - 1]] & _WORD else i


@kernel
def _candidate(data: npt.NDArray[np.uint8], start: Integer, i: Integer, end: Integer) -> tuple[int, Integer]:
    """Return kind and start of the candidate that has the anchor at ``i``, which is not a digit."""
    byte = data[i]
    if byte == _AT:
        return EMAIL, _email(data, start, i, end)
    if byte == _PLUS:
        return PHONE, _international(data, start, i, end)
    if byte in (_EQUALS, _COLON):
        return ASSIGNED, _assigned(data, start, i, end)
    return TOKEN, _token(data, start, i, end)


@array_kernel
def candidates(data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """Return rows (document, kind, start, anchor). Positions are bytes of ``data``, documents ascend."""
    found = np.empty((256, 4), np.int64)
    count = 0
    for d in range(len(offsets) - 1):
        start, end = np.int64(offsets[d]), np.int64(offsets[d + 1])
        i = start
        while i < end:
            group = _CLASS[data[i]]
            if not group & _ANCHOR:
                i += 1
                continue
            step = np.int64(1)
            if group & _DIGIT:
                step = np.int64(_digits(data, i, end, 1 << 30))
                inner = i > start and _CLASS[data[i - 1]] & _WORD
                kind, first = (-1, i) if inner else _number(data, start, i, end, step)
            else:
                kind, first = _candidate(data, start, i, end)
            if kind >= 0 and first >= 0:
                if count == len(found):
                    grown = np.empty((2 * count, 4), np.int64)
                    grown[:count] = found
                    found = grown
                found[count, 0], found[count, 1], found[count, 2], found[count, 3] = d, kind, first, i
                count += 1
            i += step
    return found[:count]
