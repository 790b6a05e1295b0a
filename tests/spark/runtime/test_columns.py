"""Columns as buffers and matrices, and parquet files whose bytes depend on their rows alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.runtime.columns import buffers, list_column, list_rows, parquet_writer, strings


@given(st.lists(st.text(max_size=9), max_size=8), st.integers(0, 8), st.integers(0, 8))
def test_a_slice_of_a_column_survives_its_buffers(texts: list[str], first: int, length: int) -> None:
    column = pa.array(texts, pa.string()).slice(first, length)
    data, offsets = buffers(column)
    assert len(offsets) == len(column) + 1
    assert strings(data, offsets).to_pylist() == column.to_pylist()


@given(st.integers(0, 5), st.integers(1, 4))
def test_a_matrix_survives_its_column(rows: int, width: int) -> None:
    matrix = np.arange(rows * width, dtype=np.int64).reshape(rows, width)
    column = list_column(matrix)
    assert column.to_pylist() == matrix.tolist()
    if rows:
        found = list_rows(pa.chunked_array([column.slice(0, 0), column.slice(0, 1), column.slice(1)]))
        assert found.tolist() == matrix.tolist()
        assert list_rows(column).tolist() == matrix.tolist()


def test_no_rows_are_a_matrix_without_rows() -> None:
    empty = list_rows(pa.chunked_array([], pa.list_(pa.int32())))
    assert empty.shape == (0, 0)
    assert empty.dtype == np.int32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.parquet"


def test_a_file_has_the_agreed_form(path: Path) -> None:
    schema = pa.schema([("id", pa.string()), ("source", pa.string())], metadata={"made": "now"})
    with parquet_writer(path, schema) as writer:
        writer.write_table(pa.table({"id": ["a", "b"], "source": ["s", "s"]}, schema))
    with pq.ParquetFile(path) as file:
        assert file.metadata.format_version == "2.6"
        assert b"ARROW:schema" not in (file.metadata.metadata or {})
        ids, sources = (file.metadata.row_group(0).column(number) for number in range(2))
    assert ids.compression == sources.compression == "ZSTD"
    assert not any("DICTIONARY" in encoding for encoding in ids.encodings)
    assert any("DICTIONARY" in encoding for encoding in sources.encodings)
