from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.kernels.hashing import hash128
from spark_jobs.runtime.columns import buffers

MASK = (1 << 64) - 1


def rotated(value: int, bits: int) -> int:
    return ((value << bits) | (value >> (64 - bits))) & MASK


def finished(value: int) -> int:
    value = (value ^ (value >> 33)) * 0xFF51AFD7ED558CCD & MASK
    value = (value ^ (value >> 33)) * 0xC4CEB9FE1A85EC53 & MASK
    return value ^ (value >> 33)


def murmur3_128(data: bytes) -> tuple[int, int]:
    """MurmurHash3_x64_128 with seed 0, from its published definition."""
    c1, c2 = 0x87C37B91114253D5, 0x4CF5AD432745937F
    h1 = h2 = 0
    whole = len(data) // 16 * 16
    for i in range(0, whole, 16):
        k1, k2 = (int.from_bytes(data[j : j + 8], "little") for j in (i, i + 8))
        h1 ^= rotated(k1 * c1 & MASK, 31) * c2 & MASK
        h1 = ((rotated(h1, 27) + h2) * 5 + 0x52DCE729) & MASK
        h2 ^= rotated(k2 * c2 & MASK, 33) * c1 & MASK
        h2 = ((rotated(h2, 31) + h1) * 5 + 0x38495AB5) & MASK
    tail = data[whole:]
    h2 ^= rotated(int.from_bytes(tail[8:], "little") * c2 & MASK, 33) * c1 & MASK
    h1 ^= rotated(int.from_bytes(tail[:8], "little") * c1 & MASK, 31) * c2 & MASK
    h1, h2 = h1 ^ len(data), h2 ^ len(data)
    h1 = (h1 + h2) & MASK
    h2 = (h2 + h1) & MASK
    h1, h2 = finished(h1), finished(h2)
    h1 = (h1 + h2) & MASK
    return h1, (h2 + h1) & MASK


@given(st.lists(st.text(max_size=70), max_size=6))
def test_hashes_follow_the_published_definition(texts: list[str]) -> None:
    out = np.empty((len(texts), 2), np.uint64)
    hash128(*buffers(pa.array(texts, pa.string())), out)
    assert [tuple(row) for row in out.tolist()] == [murmur3_128(text.encode()) for text in texts]


def test_a_slice_of_a_batch_hashes_like_the_texts_alone() -> None:
    column = pa.array(["left out", "kept", "kept too"]).slice(1)
    out = np.empty((2, 2), np.uint64)
    hash128(*buffers(column), out)
    assert [tuple(row) for row in out.tolist()] == [murmur3_128(b"kept"), murmur3_128(b"kept too")]
