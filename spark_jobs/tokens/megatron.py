"""Megatron's IndexedDataset: ``<name>.bin`` holds token ids, ``<name>.idx`` where each sequence lies.

The layout is that of megatron-core's ``indexed_dataset.py``: magic, version 1, type code, number of
sequences and of document indices, lengths (int32), byte pointers (int64), document indices (int64, from 0).
"""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

_MAGIC = b"MMIDIDX\x00\x00"
_VERSION = 1
_TYPE_CODES = {"int32": 4, "uint16": 8}


def token_dtype(vocabulary_size: int) -> str:
    """``uint16`` where every id fits, else ``int32``."""
    return "uint16" if vocabulary_size <= 1 << 16 else "int32"


def index_bytes(lengths: npt.NDArray[np.int32], dtype: str) -> bytes:
    """The ``.idx`` of sequences of these lengths in tokens, one sequence a document."""
    pointers = np.zeros(len(lengths), np.int64)
    np.cumsum(lengths[:-1].astype(np.int64) * np.dtype(dtype).itemsize, out=pointers[1:])
    return b"".join(
        (
            _MAGIC,
            struct.pack("<QBQQ", _VERSION, _TYPE_CODES[dtype], len(lengths), len(lengths) + 1),
            lengths.astype("<i4").tobytes(),
            pointers.astype("<i8").tobytes(),
            np.arange(len(lengths) + 1, dtype="<i8").tobytes(),
        )
    )
