"""Parquet shards: the text column as it is, everything else as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.contracts.documents import DropReason
from include.recipes.corpus import ReadRecipe
from spark_jobs import storage
from spark_jobs.readers.formats import TEXT_KEYS, companion_of
from spark_jobs.readers.lines import BEGINNING_BYTES
from spark_jobs.readers.records import Fields, ShardNames, fields_of
from spark_jobs.readers.shards import Shard

if TYPE_CHECKING:
    from spark_jobs.readers.documents import ReadCounts

#: A dictionary can make any row of a small file as large as a document may be: few at once.
_BATCH_ROWS = 64
_PYTHON_BYTES = 64 * 2**20
_TEXT_TYPES = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_binary,
    pa.types.is_large_binary,
)


def parquet_documents(
    shard: Shard, recipe: ReadRecipe, counts: ReadCounts, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """Batches of ``schema``; a file that breaks off counts one ``corrupt_shard`` record."""
    with storage.local_copy(shard.raw.uri, shard.raw.etag) as path:
        try:
            with pq.ParquetFile(path) as file:
                columns = file.schema_arrow.names
                if companion := companion_of(columns):
                    counts.companion = companion.value
                    return
                if len(set(columns)) < len(columns) or not any(key in columns for key in TEXT_KEYS):
                    counts.records += file.metadata.num_rows
                    if file.metadata.num_rows:
                        named = f"columns {', '.join(columns)}"
                        counts.drop(DropReason.UNKNOWN_SCHEMA, 0, named, file.metadata.num_rows)
                    return
                for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                    for part in _bounded(batch):
                        yield _documents(part, ShardNames.of(shard.name), recipe, counts, schema)
        except (pa.ArrowException, OSError) as error:
            counts.drop_rest(f"parquet: {str(error).splitlines()[0]}")


def _bounded(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The batch in parts of at most _PYTHON_BYTES, or of one row: Python takes several times as much."""
    if batch.nbytes <= _PYTHON_BYTES or batch.num_rows == 1:
        yield batch
        return
    half = batch.num_rows // 2
    yield from _bounded(batch.slice(0, half))
    yield from _bounded(batch.slice(half))


def _plain(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """The rows as Python has them; ArrowInvalid for what it cannot hold, so that the shard ends there."""
    try:
        return list(batch.to_pylist())
    except (
        ValueError,
        KeyError,
        OverflowError,
    ) as error:  # no text, one name twice, dates
        raise pa.ArrowInvalid(f"a column that Python cannot hold: {error}") from error


def _documents(
    batch: pa.RecordBatch, names: ShardNames, recipe: ReadRecipe, counts: ReadCounts, schema: pa.Schema
) -> pa.RecordBatch:
    """One batch; text of a wrong type, size or encoding is dropped before Python sees it."""
    key = next(key for key in TEXT_KEYS if key in batch.schema.names)
    text, reasons = _checked_text(batch.column(key), recipe.max_document_bytes)
    rest = _plain(batch.drop_columns([key]))
    first_row = counts.records
    counts.records += batch.num_rows
    rows: list[int] = []
    kept: list[Fields] = []
    for position, (content, reason, others) in enumerate(zip(text, reasons, rest, strict=True)):
        fields: Fields | DropReason = reason or fields_of({key: content.as_py(), **others}, names)
        if isinstance(fields, DropReason):
            shown = _excerpt(batch.column(key), position) if counts.dropped.lack_example(fields) else b""
            counts.drop(fields, first_row + position, shown)
        else:
            rows.append(first_row + position)
            kept.append(fields)
    columns: list[Any] = [list(column) for column in zip(*kept, strict=True)] or [[], [], [], []]
    arrays = [pa.array(rows, pa.int64()), *(pa.array(column, pa.string()) for column in columns)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _excerpt(column: pa.Array, position: int) -> bytes | str:
    """The beginning of a value that is no text of a document, or of what type it is."""
    value = column[position]
    if isinstance(value, pa.DictionaryScalar):
        value = value.value
    if value is None or not value.is_valid:
        return "null"
    if isinstance(value, pa.BinaryScalar | pa.LargeBinaryScalar | pa.BinaryViewScalar):
        return bytes(memoryview(value.as_buffer())[:BEGINNING_BYTES])
    return f"a value of type {value.type}"


def _checked_text(column: pa.Array, limit_bytes: int) -> tuple[pa.Array, list[DropReason | None]]:
    """The column as strings, with a reason in place of each value that cannot be one."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    elif pa.types.is_string_view(column.type) or pa.types.is_binary_view(column.type):
        column = column.cast(pa.large_binary())
    kind = column.type
    if not any(fits(kind) for fits in _TEXT_TYPES):
        return pa.nulls(len(column), pa.string()), [DropReason.NO_TEXT] * len(column)
    content = column.cast(pa.large_binary())
    reasons: list[DropReason | None] = [None] * len(column)
    sizes = pc.fill_null(pc.binary_length(content), 0).to_pylist()
    for position, size in enumerate(sizes):
        if size > limit_bytes:
            reasons[position] = DropReason.TOO_LARGE
    fitting = pc.if_else(pa.array([reason is None for reason in reasons]), content, None)
    try:
        return fitting.cast(pa.large_string()), reasons
    except pa.ArrowInvalid:
        decoded: list[str | None] = []
        for position, value in enumerate(fitting.to_pylist()):
            try:
                decoded.append(None if value is None else value.decode())
            except UnicodeDecodeError:
                decoded.append(None)
                reasons[position] = DropReason.INVALID_UTF8
        return pa.array(decoded, pa.large_string()), reasons
