"""Reads parquet shards: the text column, and all other columns as JSON metadata.

A value that cannot be converted is repaired or null. A column that is damaged is null from there on. Rows
whose text is damaged are lost, and counted by the footer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.contracts.documents import DropReason, RepairReason
from include.object_store import STORE
from include.recipes.corpus import ReadRecipe
from spark_jobs.readers.arrow_values import plain_values
from spark_jobs.readers.counts import ReadCounts
from spark_jobs.readers.formats import TEXT_KEYS, companion_of
from spark_jobs.readers.parquet_footer import open_files
from spark_jobs.readers.parquet_groups import UNREADABLE, Lost, Rows, damage_note, readable_rows
from spark_jobs.readers.pieces import BEGINNING_BYTES
from spark_jobs.readers.records import Fields, fields_of
from spark_jobs.readers.salvage import Salvaged
from spark_jobs.readers.shards import NumberedShard
from spark_jobs.readers.subsets import ShardNames

_PYTHON_BYTES = 64 * 2**20
_TEXT_TYPES = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_fixed_size_binary,
)


def parquet_documents(
    shard: NumberedShard, recipe: ReadRecipe, counts: ReadCounts, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """Yield batches of ``schema``; rows that cannot be read count as ``corrupt_shard``.

    A file without a readable footer counts as one such record, because its number of rows is unknown.
    """
    with STORE.local_copy(shard.raw.uri, shard.raw.etag) as path:
        for file, note in open_files(path):
            if file is None:
                counts.lose(note)
                continue
            counts.note = counts.note or note
            with file:
                yield from _file_documents(file, ShardNames.of(shard.name, recipe), recipe, counts, schema)


def _file_documents(
    file: pq.ParquetFile, names: ShardNames, recipe: ReadRecipe, counts: ReadCounts, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    rows = file.metadata.num_rows
    try:
        columns = file.schema_arrow.names
    except UNREADABLE as error:
        counts.lose(damage_note(error), rows)
        return
    if companion := companion_of(columns):
        counts.companion = companion.value
    elif not any(key in columns for key in TEXT_KEYS):
        counts.records += rows
        if rows:
            counts.drop(DropReason.UNKNOWN_SCHEMA, 0, f"columns {', '.join(columns)}", rows)
    else:
        for found in readable_rows(file, next(key for key in TEXT_KEYS if key in columns)):
            if isinstance(found, Lost):
                counts.lose(found.note, found.rows)
                continue
            for batch in _bounded(found.batch):
                yield _documents(Rows(batch, found.unreadable), names, recipe, counts, schema)


def _bounded(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Cut a batch into parts of at most _PYTHON_BYTES, or of one row: Python takes several times as much."""
    if batch.nbytes <= _PYTHON_BYTES or batch.num_rows == 1:
        yield batch
        return
    half = batch.num_rows // 2
    yield from _bounded(batch.slice(0, half))
    yield from _bounded(batch.slice(half))


def _documents(
    rows: Rows, names: ShardNames, recipe: ReadRecipe, counts: ReadCounts, schema: pa.Schema
) -> pa.RecordBatch:
    """Return the documents of some rows. Text of a wrong type, size or encoding stays in Arrow."""
    batch = rows.batch
    # of two columns of one name the last counts, as of two keys in JSON
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    key = next(key for key in TEXT_KEYS if key in columns)
    column = columns.pop(key)
    text, reasons = _checked_text(column, recipe.max_document_bytes)
    records, repairs = _records({key: text, **columns}, batch.num_rows)
    first_row = counts.records
    counts.records += batch.num_rows
    kept_rows: list[int] = []
    kept: list[Fields] = []
    for position, (record, reason) in enumerate(zip(records, reasons, strict=True)):
        found = Salvaged(record, repairs[position]) if position in repairs else record
        fields: Fields | DropReason = reason or fields_of(found, names, limit_bytes=recipe.max_document_bytes)
        if isinstance(fields, DropReason):
            shown = _excerpt(column, position) if counts.dropped.lack_example(fields) else b""
            counts.drop(fields, first_row + position, shown)
        else:
            damaged = {RepairReason.COLUMN} if rows.unreadable else set()
            counts.repair({*fields.repairs, *damaged})
            kept_rows.append(first_row + position)
            kept.append(fields)
    texts, sources, subsets, metadata, _ = zip(*kept, strict=True) if kept else ((), (), (), (), ())
    strings = (pa.array(values, pa.string()) for values in (texts, sources, subsets, metadata))
    return pa.RecordBatch.from_arrays([pa.array(kept_rows, pa.int64()), *strings], schema=schema)


def _records(
    columns: dict[str, pa.Array], rows: int
) -> tuple[list[dict[str, Any]], dict[int, set[RepairReason]]]:
    """Return the rows as Python has them, and the reasons for repairs by row."""
    repairs: dict[int, set[RepairReason]] = {}
    values = []
    for column in columns.values():
        found = plain_values(column)
        values.append(found.values)
        for position, reasons in found.repairs.items():
            repairs.setdefault(position, set()).update(reasons)
    names = list(columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)], repairs


def _excerpt(column: pa.Array, position: int) -> bytes | str:
    """Return the beginning of a value that is no text of a document, or its type."""
    value = column[position]
    if isinstance(value, pa.DictionaryScalar):
        value = value.value
    if value is None or not value.is_valid:
        return "null"
    if isinstance(value, pa.BinaryScalar | pa.LargeBinaryScalar | pa.BinaryViewScalar):
        return bytes(memoryview(value.as_buffer())[:BEGINNING_BYTES])
    return f"a value of type {value.type}"


def _checked_text(column: pa.Array, limit_bytes: int) -> tuple[pa.Array, list[DropReason | None]]:
    """Return the column as strings, with a reason in place of each value that cannot be one."""
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    elif pa.types.is_string_view(column.type) or pa.types.is_binary_view(column.type):
        column = column.cast(pa.large_binary())
    kind = column.type
    if not any(fits(kind) for fits in _TEXT_TYPES):
        return pa.nulls(len(column), pa.string()), [None] * len(column)
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
