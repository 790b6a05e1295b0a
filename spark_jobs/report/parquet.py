"""Parquet read in parts: some columns, a row group at a time; from S3 only the ranges that hold them."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from include.contracts.documents import DOCUMENT_COLUMNS
from spark_jobs import storage
from spark_jobs.place import Place

#: Rows that are in memory at once, at most: a text may have megabytes, a number has eight bytes.
_TEXTS, _NUMBERS = 256, 1 << 16


class _RangedObject(io.RawIOBase):
    """An S3 object as a file of which only what is read is fetched."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._size = storage.stat(uri).size_bytes
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = start + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        size = max(0, min(len(buffer), self._size - self._position))
        buffer[:size] = storage.read_range(self._uri, self._position, size)
        self._position += size
        return size


@contextmanager
def open_parquet(uri: str) -> Iterator[pq.ParquetFile]:
    """The file, with nothing but its footer read."""
    source = pa.PythonFile(_RangedObject(uri), mode="r") if storage.is_s3(uri) else storage.local_path(uri)
    with pq.ParquetFile(source) as file:
        yield file


def column_batches(uris: Iterable[str], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Batches of these columns, file after file."""
    rows = _TEXTS if "text" in columns else _NUMBERS
    for uri in uris:
        with open_parquet(uri) as file:
            yield from file.iter_batches(batch_size=rows, columns=list(columns))


def documents_by_id(place: Place, ids: Collection[str]) -> dict[str, dict[str, str]]:
    """The rows of those that the corpus holds; a file is found by halving, as ids ascend across files."""
    first_id = cache(_first_id)
    found: dict[str, dict[str, str]] = {}
    for folder in (place.documents, place.held_out):
        uris = storage.list_files(folder)
        for document in sorted(set(ids) - found.keys()):
            position = bisect_right(uris, document, key=first_id) - 1
            row = _row(uris[position], document) if position >= 0 else None
            if row is not None:
                found[document] = row
    return found


def _first_id(uri: str) -> str:
    """The smallest id of a file, out of its footer; no file of documents is empty."""
    with open_parquet(uri) as file:
        first: str = file.metadata.row_group(0).column(0).statistics.min
    return first


def _row(uri: str, document: str) -> dict[str, str] | None:
    with open_parquet(uri) as file:
        for group in range(file.num_row_groups):
            statistics = file.metadata.row_group(group).column(0).statistics
            if not statistics.min <= document <= statistics.max:
                continue
            ids = file.read_row_group(group, columns=["id"]).column("id").to_pylist()
            if document in ids:
                rows = file.read_row_group(group, columns=list(DOCUMENT_COLUMNS))
                row: dict[str, str] = rows.slice(ids.index(document), 1).to_pylist()[0]
                return row
    return None
