"""Reads the row groups of a parquet file, skips damaged parts, and counts every row of the footer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

#: A dictionary can make any row of a small file as large as a document may be: few at once.
BATCH_ROWS = 64
#: Small row groups are read together, because each read has a fixed cost.
_ROWS_TOGETHER = 2000

#: What pyarrow raises for a damaged file.
UNREADABLE = (pa.ArrowException, OSError, ValueError)


@dataclass(frozen=True)
class Lost:
    """The rows of the footer that could not be read."""

    rows: int
    note: str


@dataclass(frozen=True)
class Rows:
    """Rows that were read; the columns of ``unreadable`` are null because they are damaged."""

    batch: pa.RecordBatch
    unreadable: frozenset[str] = frozenset()


def damage_note(error: Exception) -> str:
    """Return the first line of what pyarrow reports."""
    if isinstance(error, UnicodeDecodeError):  # it decodes nothing else in Python
        return f"parquet: a column's name is not UTF-8: {error.object.decode(errors='replace')}"
    return f"parquet: {(str(error).splitlines() or [type(error).__name__])[0]}"


def readable_rows(file: pq.ParquetFile, text_column: str) -> Iterator[Rows | Lost]:
    """Yield all rows in their order; a row is lost only if its text cannot be read."""
    for groups in _neighbours(file):
        total = sum(file.metadata.row_group(group).num_rows for group in groups)
        delivered = 0
        note = "parquet: fewer rows than the footer says"
        try:
            for batch in file.iter_batches(BATCH_ROWS, row_groups=groups):
                delivered += batch.num_rows
                yield Rows(batch)
        except UNREADABLE as error:
            note = damage_note(error)
            yield from _column_by_column(file, groups, text_column, delivered, note)
        else:
            if delivered < total:
                yield Lost(total - delivered, note)


def _neighbours(file: pq.ParquetFile) -> Iterator[list[int]]:
    groups: list[int] = []
    rows = 0
    for group in range(file.num_row_groups):
        groups.append(group)
        rows += file.metadata.row_group(group).num_rows
        if rows >= _ROWS_TOGETHER:
            yield groups
            groups, rows = [], 0
    if groups:
        yield groups


def _column_by_column(
    file: pq.ParquetFile, groups: list[int], text_column: str, delivered: int, note: str
) -> Iterator[Rows | Lost]:
    """Yield the rows of some groups after the first ``delivered``, with nulls for what cannot be read."""
    for group in groups:
        rows = file.metadata.row_group(group).num_rows
        position = min(delivered, rows)
        delivered -= position
        columns = {name: _Column(file, group, name) for name in file.schema_arrow.names}
        for column in columns.values():
            column.skip(position)
        while position < rows:
            wanted = min(BATCH_ROWS, rows - position)
            arrays = {name: column.take(wanted) for name, column in columns.items()}
            whole = columns[text_column].readable
            if whole:
                batch = pa.RecordBatch.from_pydict({n: array.slice(0, whole) for n, array in arrays.items()})
                yield Rows(batch, frozenset(name for name, column in columns.items() if column.is_damaged))
            position += whole
            if whole < wanted:
                yield Lost(rows - position, note)
                break


class _Column:
    """One column of a row group. Its values are null from the damage on."""

    def __init__(self, file: pq.ParquetFile, group: int, name: str) -> None:
        self.is_damaged = False
        #: Rows of the newest ``take`` that were read.
        self.readable = 0
        self._batches = file.iter_batches(BATCH_ROWS, row_groups=[group], columns=[name])
        self._held: list[pa.Array] = []

    def skip(self, rows: int) -> None:
        """Pass over rows that were delivered before."""
        while rows > 0:
            rows -= len(self.take(min(rows, BATCH_ROWS)))

    def take(self, rows: int) -> pa.Array:
        """Return the next rows; nulls for those that cannot be read."""
        while sum(map(len, self._held)) < rows and not self.is_damaged:
            column = self._next()
            if column is None:
                self.is_damaged = True
            else:
                self._held.append(column)
        if not self._held:
            self.readable = 0
            return pa.nulls(rows)
        held = pa.concat_arrays(self._held)
        taken, self._held = held.slice(0, rows), [held.slice(rows)]
        self.readable = len(taken)
        missing = pa.nulls(rows - len(taken), taken.type)
        return pa.concat_arrays([taken, missing]) if len(missing) else taken

    def _next(self) -> pa.Array | None:
        try:
            batch = next(self._batches, None)
            if batch is None:
                return None
            column = batch.column(batch.num_columns - 1)  # the last of equal names counts
            return column.dictionary_decode() if isinstance(column, pa.DictionaryArray) else column
        except UNREADABLE:
            return None
