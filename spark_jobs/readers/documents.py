"""Reads a shard in any container as Arrow batches of documents, and counts all other records."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from typing import Any

import orjson
import pyarrow as pa

from include.contracts.documents import DropReason
from include.object_store import STORE
from include.object_store.errors import changed_object, readable_errors
from include.object_store.locations import is_s3, locate
from include.object_store.streams import HashedStream
from include.recipes.corpus import ReadRecipe
from spark_jobs.readers.compression import Damage, plain_blocks
from spark_jobs.readers.counts import ReadCounts
from spark_jobs.readers.formats import Unpacked, companion_of, unpack
from spark_jobs.readers.other_formats import other_format_within
from spark_jobs.readers.parquet import parquet_documents
from spark_jobs.readers.pieces import Overlong
from spark_jobs.readers.quality_signals import quality_signals
from spark_jobs.readers.records import Fields, fields_of
from spark_jobs.readers.salvage import Salvaged, parsed, salvaged
from spark_jobs.readers.sampling import keys_of_records
from spark_jobs.readers.shards import NumberedShard
from spark_jobs.readers.splitting import split_records
from spark_jobs.readers.subsets import ShardNames

BATCH_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("text", pa.string()),
        ("source", pa.string()),
        ("subset", pa.string()),
        ("metadata", pa.string()),
    ]
)

_BATCH_CHARACTERS = 4 << 20
_BATCH_ROWS = 8192
#: A number that the fast parser may have rounded: it writes integers beyond 64 bits as 1.8e+19.
_ROUNDED = re.compile(r"\de\+(?:1[89]|[2-9]\d|\d{3})")


def read_documents(shard: NumberedShard, recipe: ReadRecipe, counts: ReadCounts) -> Iterator[pa.RecordBatch]:
    """Yield batches of BATCH_SCHEMA; ``row`` numbers the records of the shard from 0, dropped ones included.

    A damaged shard gives the documents around the damage. Raises IntegrityError when the bytes are not
    those of the request.
    """
    with _checked_stream(shard, counts) as stream:
        found = unpack(plain_blocks(stream))
        counts.container = str(found.container)
        if found.is_parquet:
            yield from parquet_documents(shard, recipe, counts, BATCH_SCHEMA)
        elif found.other:
            counts.refuse(found.other, found.head)
        elif found.is_blank:
            counts.note = "empty"
        elif not found.starts_as_json and b"\0" in found.head:
            counts.container = "unknown"
            counts.refuse("neither JSON lines nor a known container", found.head)
        elif companion := companion_of(keys_of_records(found.head)):
            counts.companion = companion.value
        else:
            yield from _batches(_json_documents(shard, found, recipe, counts))


def _json_documents(
    shard: NumberedShard, found: Unpacked, recipe: ReadRecipe, counts: ReadCounts
) -> Iterator[tuple[int, Fields]]:
    names = ShardNames.of(shard.name, recipe)
    # in JSON a character takes at most twice its UTF-8 bytes, except for control characters
    limit = 2 * recipe.max_document_bytes + (1 << 20)
    pieces = split_records(found.head, found.blocks, limit)
    other = ""
    with quality_signals(shard, counts) as signals:
        for piece in pieces:
            records: Iterable[Any]
            if type(piece) is bytes:  # not a subclass: almost every piece
                try:
                    records = (orjson.loads(piece),)
                except orjson.JSONDecodeError:
                    records = salvaged(piece)
                    whole = [record for record in records if isinstance(record, Salvaged)]
                    if len(whole) < len(records) and (other := other_format_within(piece)):
                        records = whole
            elif isinstance(piece, Damage):
                counts.lose(piece.note)
                continue
            else:
                records = _unusual_records(piece)
            for record in records:
                row = counts.records
                counts.records += 1
                found_signals = signals.of_row(row) if signals else None
                fields = _fields(record, piece, names, found_signals, recipe.max_document_bytes)
                if isinstance(fields, DropReason):
                    counts.drop(fields, row, piece)
                    continue
                if fields.repairs:
                    counts.repair(fields.repairs)
                yield row, fields
            if other:
                lost = len(piece) + sum(len(rest) for rest in pieces if isinstance(rest, bytes))
                counts.lose(f"{other} (it is joined with JSON lines: about {lost} bytes are not read)")


def _fields(record: Any, piece: bytes, names: ShardNames, signals: Any, limit: int) -> Fields | DropReason:
    if isinstance(record, DropReason):
        return record
    fields = fields_of(record, names, signals, limit)
    if isinstance(fields, DropReason) or isinstance(record, Salvaged) or "e+" not in fields.metadata:
        return fields
    return fields_of(parsed(piece), names, signals, limit) if _ROUNDED.search(fields.metadata) else fields


def _unusual_records(piece: bytes) -> Iterable[Any]:
    """Return the record of an Overlong or Torn piece, or the reason to drop it."""
    if isinstance(piece, Overlong):
        return (DropReason.TOO_LARGE if piece.strip(b"\0") else DropReason.CORRUPT_SHARD,)
    # what is left of a torn record is part of the damage that follows, unless it is whole
    found = parsed(bytes(piece))
    return () if isinstance(found, DropReason) else (found,)


def _batches(documents: Iterator[tuple[int, Fields]]) -> Iterator[pa.RecordBatch]:
    rows: list[int] = []
    columns: list[Fields] = []
    size = 0
    for row, fields in documents:
        rows.append(row)
        columns.append(fields)
        size += len(fields.text) + len(fields.metadata)
        if size >= _BATCH_CHARACTERS or len(rows) >= _BATCH_ROWS:
            yield _batch(rows, columns)
            rows, columns, size = [], [], 0
    if rows:
        yield _batch(rows, columns)


def _batch(rows: list[int], columns: list[Fields]) -> pa.RecordBatch:
    texts, sources, subsets, metadata, _ = zip(*columns, strict=True)
    strings = (pa.array(column, pa.string()) for column in (texts, sources, subsets, metadata))
    return pa.RecordBatch.from_arrays([pa.array(rows, pa.int64()), *strings], schema=BATCH_SCHEMA)


@contextlib.contextmanager
def _checked_stream(shard: NumberedShard, counts: ReadCounts) -> Iterator[Any]:
    """Open a shard; on S3 the etag is a condition of the request, local bytes are hashed as they are read."""
    with readable_errors(locate(shard.raw.uri)), STORE.open(shard.raw.uri, shard.raw.etag) as stream:
        checked = HashedStream(stream)
        yield checked
        counts.bytes_read = shard.raw.size_bytes
        if is_s3(shard.raw.uri):
            return
        while checked.read(1 << 20):  # the hash has to cover all of it
            pass
        if checked.sha256 != shard.raw.etag:
            raise changed_object(shard.raw.uri, shard.raw.etag, checked.sha256)
