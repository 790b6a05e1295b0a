"""Conversion of Arrow string columns to buffers for kernels and back, and a reproducible parquet writer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int32]


def buffers(column: pa.StringArray) -> tuple[Bytes, Offsets]:
    """Return the UTF-8 bytes and offsets (documents + 1) of a column without nulls. Nothing is copied."""
    _, offsets_buffer, data_buffer = column.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int32)[column.offset : column.offset + len(column) + 1]
    data = np.frombuffer(data_buffer, np.uint8) if data_buffer else np.empty(0, np.uint8)
    return data, offsets


def strings(data: Bytes, offsets: Offsets) -> pa.StringArray:
    """Build a column over these buffers."""
    return pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(data))


def list_column(matrix: npt.NDArray[np.int32] | npt.NDArray[np.int64]) -> pa.ListArray:
    """Return a matrix as a column of lists of equal length."""
    rows, width = matrix.shape
    offsets = np.arange(0, (rows + 1) * width, width, dtype=np.int32)
    return pa.ListArray.from_arrays(offsets, pa.array(matrix.reshape(-1)))


def list_rows(column: pa.ListArray | pa.ChunkedArray) -> npt.NDArray[Any]:
    """Return a column of lists of equal length as a matrix."""
    chunks = [c for c in (column.chunks if isinstance(column, pa.ChunkedArray) else [column]) if len(c)]
    if not chunks:
        return np.empty((0, 0), column.type.value_type.to_pandas_dtype())
    return np.concatenate([np.asarray(chunk.flatten()).reshape(len(chunk), -1) for chunk in chunks])


@contextmanager
def parquet_writer(path: Path, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    """Open a parquet writer with fixed settings, so that the same batches give the same bytes."""
    with pq.ParquetWriter(
        path,
        schema,
        version="2.6",
        compression="zstd",
        compression_level=1,
        use_dictionary=[name for name in schema.names if name in ("source", "subset", "stage", "part")],
        data_page_version="1.0",
        store_schema=False,
    ) as writer:
        yield writer
