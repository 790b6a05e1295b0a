from __future__ import annotations

import struct

import numpy as np
import pytest

from spark_jobs.tokens.megatron import index_bytes, token_dtype


@pytest.mark.parametrize(("dtype", "code", "width"), [("uint16", 8, 2), ("int32", 4, 4)])
def test_an_index_reads_back_as_megatron_reads_it(dtype: str, code: int, width: int) -> None:
    """The reader is that of megatron-core's _IndexReader, in a few lines."""
    content = index_bytes(np.array([3, 1, 5], np.int32), dtype)
    assert content[:9] == b"MMIDIDX\x00\x00"
    version, found_code, sequences, documents = struct.unpack_from("<QBQQ", content, 9)
    assert (version, found_code, sequences, documents) == (1, code, 3, 4)
    start = 9 + struct.calcsize("<QBQQ")
    assert np.frombuffer(content, np.int32, sequences, start).tolist() == [3, 1, 5]
    assert np.frombuffer(content, np.int64, sequences, start + 12).tolist() == [0, 3 * width, 4 * width]
    assert np.frombuffer(content, np.int64, documents, start + 36).tolist() == [0, 1, 2, 3]
    assert len(content) == start + 12 + 24 + 32


def test_sixteen_bits_only_where_every_id_fits() -> None:
    assert token_dtype(65536) == "uint16"
    assert token_dtype(65537) == "int32"


def test_pointers_pass_four_gigabytes() -> None:
    lengths = np.full(3, 2**31 - 1, np.int32)
    content = index_bytes(lengths, "int32")
    pointers = np.frombuffer(content, np.int64, 3, 9 + struct.calcsize("<QBQQ") + 12)
    assert pointers.tolist() == [0, 4 * (2**31 - 1), 8 * (2**31 - 1)]
