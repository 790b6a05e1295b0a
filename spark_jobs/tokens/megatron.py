"""Write the index of a token shard in the layout of ``include.contracts.megatron``."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from include.contracts.megatron import HEADER, MAGIC, TYPE_CODES, VERSION


def token_dtype(vocabulary_size: int) -> str:
    """Return ``uint16`` if every id fits, else ``int32``."""
    return "uint16" if vocabulary_size <= 1 << 16 else "int32"


def index_bytes(lengths: npt.NDArray[np.int32], dtype: str) -> bytes:
    """Return the ``.idx`` for documents of these lengths in tokens; each document is one sequence."""
    pointers = np.zeros(len(lengths), np.int64)
    np.cumsum(lengths[:-1].astype(np.int64) * np.dtype(dtype).itemsize, out=pointers[1:])
    return b"".join(
        (
            HEADER.pack(MAGIC, VERSION, TYPE_CODES[dtype], len(lengths), len(lengths) + 1),
            lengths.astype("<i4").tobytes(),
            pointers.astype("<i8").tobytes(),
            np.arange(len(lengths) + 1, dtype="<i8").tobytes(),
        )
    )
