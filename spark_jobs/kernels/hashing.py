"""Hashes the documents of Arrow batches with MurmurHash3 x64 128 (Appleby, public domain)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spark_jobs.kernels.compiled import Integer, kernel

_C1 = np.uint64(0x87C37B91114253D5)
_C2 = np.uint64(0x4CF5AD432745937F)
_F1 = np.uint64(0xFF51AFD7ED558CCD)
_F2 = np.uint64(0xC4CEB9FE1A85EC53)


@kernel
def mix64(value: np.uint64) -> np.uint64:
    """Apply MurmurHash3's finaliser, by which every input bit affects every output bit."""
    value = (value ^ (value >> np.uint64(33))) * _F1
    value = (value ^ (value >> np.uint64(33))) * _F2
    return value ^ (value >> np.uint64(33))


@kernel
def _rotated(value: np.uint64, bits: int) -> np.uint64:
    return (value << np.uint64(bits)) | (value >> np.uint64(64 - bits))


@kernel
def _word(data: npt.NDArray[np.uint8], start: Integer, size: Integer) -> np.uint64:
    word = np.uint64(0)
    for i in range(size):
        word |= np.uint64(data[start + i]) << np.uint64(8 * i)
    return word


@kernel
def _eight(data: npt.NDArray[np.uint8], i: Integer) -> np.uint64:
    # without a loop, so that LLVM compiles it to one load instruction
    return (
        np.uint64(data[i])
        | (np.uint64(data[i + 1]) << np.uint64(8))
        | (np.uint64(data[i + 2]) << np.uint64(16))
        | (np.uint64(data[i + 3]) << np.uint64(24))
        | (np.uint64(data[i + 4]) << np.uint64(32))
        | (np.uint64(data[i + 5]) << np.uint64(40))
        | (np.uint64(data[i + 6]) << np.uint64(48))
        | (np.uint64(data[i + 7]) << np.uint64(56))
    )


@kernel
def hash128(data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int32], out: npt.NDArray[np.uint64]) -> None:
    """Write the (low, high) halves of each document's hash to ``out``, of the shape (documents, 2)."""
    for d in range(len(offsets) - 1):
        start, size = np.int64(offsets[d]), np.int64(offsets[d + 1] - offsets[d])
        h1, h2 = np.uint64(0), np.uint64(0)
        blocks = size // 16
        for block in range(blocks):
            i = start + 16 * block
            h1 ^= _rotated(_eight(data, i) * _C1, 31) * _C2
            h1 = (_rotated(h1, 27) + h2) * np.uint64(5) + np.uint64(0x52DCE729)
            h2 ^= _rotated(_eight(data, i + 8) * _C2, 33) * _C1
            h2 = (_rotated(h2, 31) + h1) * np.uint64(5) + np.uint64(0x38495AB5)
        tail, rest = start + 16 * blocks, size % 16
        if rest > 8:
            h2 ^= _rotated(_word(data, tail + 8, rest - 8) * _C2, 33) * _C1
        if rest > 0:
            h1 ^= _rotated(_word(data, tail, rest if rest < 8 else np.int64(8)) * _C1, 31) * _C2
        h1 ^= np.uint64(size)
        h2 ^= np.uint64(size)
        h1 += h2
        h2 += h1
        h1, h2 = mix64(h1), mix64(h2)
        h1 += h2
        h2 += h1
        out[d, 0], out[d, 1] = h1, h2
