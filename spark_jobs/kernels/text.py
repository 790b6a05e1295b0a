"""Kernels that rewrite text: line ends, control characters, outer white space; and count its faults."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spark_jobs.kernels.compiled import kernel
from spark_jobs.kernels.unicode_tables import WHITESPACE

_WHITESPACE = np.uint8(WHITESPACE)
_REPLACEMENT = 0xFFFD


@kernel
def decode(data: npt.NDArray[np.uint8], i: int) -> tuple[int, int]:
    """Code point at ``i`` and its width in bytes. ``data`` must be valid UTF-8, as Arrow strings are."""
    first = np.int64(data[i])
    if first < 0x80:
        return first, 1
    if first < 0xE0:
        return ((first & 0x1F) << 6) | (np.int64(data[i + 1]) & 0x3F), 2
    if first < 0xF0:
        middle = (np.int64(data[i + 1]) & 0x3F) << 6
        return ((first & 0x0F) << 12) | middle | (np.int64(data[i + 2]) & 0x3F), 3
    high = (np.int64(data[i + 1]) & 0x3F) << 12
    low = ((np.int64(data[i + 2]) & 0x3F) << 6) | (np.int64(data[i + 3]) & 0x3F)
    return ((first & 0x07) << 18) | high | low, 4


@kernel
def has_any(
    data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int32], table: npt.NDArray[np.bool_], floor: int
) -> npt.NDArray[np.bool_]:
    """Per document: does it hold a code point that ``table`` marks? None below ``floor`` is marked."""
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
def _mojibake_length(data: npt.NDArray[np.uint8], i: int, end: int, bytes_of: npt.NDArray[np.uint8]) -> int:
    """Characters from ``i`` on that are one UTF-8 character decoded as Windows-1252; 0 when they are not."""
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


@kernel
def normalise(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int32],
    classes: npt.NDArray[np.uint8],
    bytes_of: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """New bytes and offsets, and per document its faulty and its all characters (counted before).

    CR LF, CR, VT, FF, NEL, U+2028 and U+2029 become LF; other C0 and C1 controls, DEL and U+FEFF go, TAB
    stays; white space at both ends goes. Faulty are U+FFFD and the characters of UTF-8 that was decoded as
    Windows-1252; they are counted, not mended.
    """
    documents = len(offsets) - 1
    out = np.empty(offsets[documents] - offsets[0], np.uint8)
    out_offsets = np.zeros(documents + 1, np.int32)
    faults = np.zeros(documents, np.int64)
    characters = np.zeros(documents, np.int64)
    o = 0
    for d in range(documents):
        i, end = np.int64(offsets[d]), np.int64(offsets[d + 1])
        document_start = kept_end = o
        mojibake_left = 0
        while i < end:
            byte = data[i]
            characters[d] += 1
            if 0x20 <= byte < 0x7F:
                out[o] = byte
                o += 1
                i += 1
                if byte != 0x20:
                    kept_end = o
                elif o == document_start + 1:
                    o = document_start
                continue
            point, width = decode(data, i)
            if mojibake_left == 0 and point >= 0x80:
                mojibake_left = _mojibake_length(data, i, end, bytes_of)
            if mojibake_left > 0:
                mojibake_left -= 1
                faults[d] += 1
            elif point == _REPLACEMENT:
                faults[d] += 1
            is_break = (
                point == 0x0A or point == 0x0B or point == 0x0C or point == 0x0D or point == 0x85
            ) or (point == 0x2028 or point == 0x2029)
            if is_break:
                follows_return = point == 0x0A and i > offsets[d] and data[i - 1] == 0x0D
                if not follows_return and o > document_start:
                    out[o] = 0x0A
                    o += 1
            elif point == 0x09 or (point >= 0xA0 and point != 0xFEFF):
                blank = classes[point] & _WHITESPACE
                if not (blank and o == document_start):
                    for k in range(width):
                        out[o + k] = data[i + k]
                    o += width
                    if not blank:
                        kept_end = o
            i += width
        o = kept_end
        out_offsets[d + 1] = o
    return out[:o], out_offsets, faults, characters
