"""Finds, trims, hashes and measures the lines of a document."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spark_jobs.kernels.compiled import Integer, kernel
from spark_jobs.kernels.hashing import mix64
from spark_jobs.kernels.letters import BLANK
from spark_jobs.kernels.text import decode

LINE_FEED = 0x0A

_BLANK = np.uint8(BLANK)
#: Factor and first value of FNV-1a.
HASH_PRIME = np.uint64(0x100000001B3)
HASH_BASIS = np.uint64(0xCBF29CE484222325)


@kernel
def line_end(data: npt.NDArray[np.uint8], i: Integer, end: Integer) -> Integer:
    """Return the position of the first line feed from ``i`` on, or ``end``."""
    while i < end and data[i] != LINE_FEED:
        i += 1
    return i


@kernel
def hash_line(data: npt.NDArray[np.uint8], start: Integer, end: Integer) -> tuple[np.uint64, np.int64]:
    """Return the FNV-1a hash of the bytes, finalised by ``mix64``, and the number of characters."""
    hashed, characters = HASH_BASIS, np.int64(0)
    for i in range(start, end):
        hashed = (hashed ^ np.uint64(data[i])) * HASH_PRIME
        characters += (data[i] & 0xC0) != 0x80
    return mix64(hashed), characters


@kernel
def character_before(data: npt.NDArray[np.uint8], end: Integer) -> Integer:
    """Return the position of the character that ends just before ``end``."""
    i = end - 1
    while (data[i] & 0xC0) == 0x80:
        i -= 1
    return i


@kernel
def trim(
    data: npt.NDArray[np.uint8], start: Integer, end: Integer, letters: npt.NDArray[np.uint8]
) -> tuple[Integer, Integer]:
    """Return the bounds without the white space at both ends. They are equal if there is nothing else."""
    while start < end:
        point, width = decode(data, start)
        if (letters[point] & _BLANK) == 0:
            break
        start += width
    while end > start:
        last = character_before(data, end)
        point, _ = decode(data, last)
        if (letters[point] & _BLANK) == 0:
            break
        end = last
    return start, end


@kernel
def ends_in_ellipsis(data: npt.NDArray[np.uint8], start: Integer, end: Integer) -> bool:
    """Return True if the text ends in three dots or in U+2026 (E2 80 A6)."""
    if end - start < 3:
        return False
    first, second, third = data[end - 3], data[end - 2], data[end - 1]
    dots = first == 0x2E and second == 0x2E and third == 0x2E
    return bool(dots or (first == 0xE2 and second == 0x80 and third == 0xA6))


@kernel
def words_of(
    data: npt.NDArray[np.uint8], start: Integer, end: Integer, letters: npt.NDArray[np.uint8]
) -> tuple[int, int]:
    """Return the number of words between white space, and the length of the longest in characters."""
    words = characters = longest = 0
    i = start
    while i < end:
        point, width = decode(data, i)
        i += width
        if (letters[point] & _BLANK) != 0:
            longest = max(longest, characters)
            characters = 0
            continue
        words += characters == 0
        characters += 1
    return words, max(longest, characters)
