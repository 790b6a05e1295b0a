"""Normalises line ends, control characters and outer white space, and counts faulty characters."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spark_jobs.kernels.compiled import Integer, array_kernel, kernel
from spark_jobs.kernels.unicode_tables import BLANK, BREAK, CONTROL, VISIBLE

_LINE_FEED, _CARRIAGE_RETURN, _SPACE = 0x0A, 0x0D, 0x20
_REPLACEMENT = 0xFFFD


@kernel
def decode(data: npt.NDArray[np.uint8], i: Integer) -> tuple[np.int64, np.int64]:
    """Return the code point at ``i`` and its width in bytes. ``data`` must be valid UTF-8, as in Arrow."""
    first = np.int64(data[i])
    if first < 0x80:
        return first, np.int64(1)
    if first < 0xE0:
        return ((first & 0x1F) << 6) | (np.int64(data[i + 1]) & 0x3F), np.int64(2)
    if first < 0xF0:
        middle = (np.int64(data[i + 1]) & 0x3F) << 6
        return ((first & 0x0F) << 12) | middle | (np.int64(data[i + 2]) & 0x3F), np.int64(3)
    high = (np.int64(data[i + 1]) & 0x3F) << 12
    low = ((np.int64(data[i + 2]) & 0x3F) << 6) | (np.int64(data[i + 3]) & 0x3F)
    return ((first & 0x07) << 18) | high | low, np.int64(4)


@kernel
def longest_document(offsets: npt.NDArray[np.int32]) -> int:
    """Return the size in bytes of the longest document."""
    longest = 0
    for d in range(len(offsets) - 1):
        size = int(offsets[d + 1] - offsets[d])
        longest = max(longest, size)
    return longest


@array_kernel
def has_any(
    data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int32], table: npt.NDArray[np.bool_], floor: int
) -> npt.NDArray[np.bool_]:
    """Return for each document if it has a code point that ``table`` marks.

    ``table`` must mark none below ``floor``: these characters are skipped without decoding.
    """
    found = np.zeros(len(offsets) - 1, np.bool_)
    # the first byte of every character from `floor` on is at least that of `floor` itself
    lead = 0 if floor < 0x80 else (0xC0 | (floor >> 6) if floor < 0x800 else 0xE0)
    for d in range(len(offsets) - 1):
        i, end = np.int64(offsets[d]), np.int64(offsets[d + 1])
        while i < end:
            if data[i] < lead:
                i += 1
                continue
            point, width = decode(data, i)
            if table[point]:
                found[d] = True
                break
            i += width
    return found


@kernel
def _mojibake_length(
    data: npt.NDArray[np.uint8], i: Integer, end: Integer, bytes_of: npt.NDArray[np.uint8]
) -> int:
    """Return how many characters from ``i`` on are one UTF-8 character decoded as Windows-1252, or 0."""
    point, width = decode(data, i)
    if point >= len(bytes_of):
        return 0
    first = bytes_of[point]
    if first < 0xC2 or first > 0xF4:
        return 0
    following = 1 if first < 0xE0 else (2 if first < 0xF0 else 3)
    position = i + width
    for _ in range(following):
        if position >= end:
            return 0
        point, width = decode(data, position)
        if point >= len(bytes_of) or bytes_of[point] < 0x80 or bytes_of[point] >= 0xC0:
            return 0
        position += width
    return following + 1


@array_kernel
def count_faults(
    data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int32], bytes_of: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the number of faulty characters and of all characters of each document.

    Faulty characters are U+FFFD and those of UTF-8 that was decoded as Windows-1252.
    """
    documents = len(offsets) - 1
    faults, characters = np.zeros(documents, np.int64), np.zeros(documents, np.int64)
    for d in range(documents):
        i, end = np.int64(offsets[d]), np.int64(offsets[d + 1])
        mojibake_left = 0
        while i < end:
            characters[d] += 1
            if data[i] < 0x80:
                i += 1
                continue
            point, width = decode(data, i)
            if mojibake_left == 0:
                mojibake_left = _mojibake_length(data, i, end, bytes_of)
            faults[d] += mojibake_left > 0 or point == _REPLACEMENT
            mojibake_left = max(mojibake_left - 1, 0)
            i += width
    return faults, characters


@array_kernel
def normalise(
    data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int32], actions: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
    """Normalise a batch by ``unicode_tables.actions()``. Return the new bytes and offsets.

    Every line break becomes LF, and CR LF becomes one LF. Control characters become one space between two
    visible characters, and nothing elsewhere. White space at both ends is removed.
    """
    documents = len(offsets) - 1
    out = np.empty(offsets[documents] - offsets[0], np.uint8)
    out_offsets = np.zeros(documents + 1, np.int32)
    o = np.int64(0)
    for d in range(documents):
        i, end = np.int64(offsets[d]), np.int64(offsets[d + 1])
        document_start, visible_end = o, o
        after_control = False
        while i < end:
            point, width = decode(data, i)
            action = actions[point]
            if action == VISIBLE or (action == BLANK and o > document_start):
                if after_control and action == VISIBLE and o == visible_end:
                    out[o] = _SPACE
                    o += 1
                for k in range(width):
                    out[o + k] = data[i + k]
                o += width
                if action == VISIBLE:
                    visible_end = o
                    after_control = False
            elif action == BREAK and o > document_start:
                second_half = point == _LINE_FEED and data[i - 1] == _CARRIAGE_RETURN
                if not second_half:
                    out[o] = _LINE_FEED
                    o += 1
            elif action == CONTROL and o > document_start:
                after_control = True
            i += width
        o = visible_end
        out_offsets[d + 1] = o
    return out[:o], out_offsets
