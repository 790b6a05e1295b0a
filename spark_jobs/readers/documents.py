"""A shard of any container as Arrow batches of documents, with every record that is none counted."""

from __future__ import annotations

import codecs
import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import orjson
import pyarrow as pa

from include.contracts.documents import DropReason
from include.recipes.corpus import ReadRecipe
from spark_jobs import storage
from spark_jobs.filters.drops import Drops
from spark_jobs.readers.compression import CorruptStream, gzip_blocks, plain_blocks, zstd_blocks
from spark_jobs.readers.formats import (
    HEAD_BYTES,
    Container,
    companion_of,
    container_of,
    first_lines,
    first_record_keys,
)
from spark_jobs.readers.lines import Overlong, split_lines
from spark_jobs.readers.parquet import parquet_documents
from spark_jobs.readers.records import Fields, ShardNames, fields_of
from spark_jobs.readers.shards import Shard

BATCH_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("text", pa.string()),
        ("source", pa.string()),
        ("subset", pa.string()),
        ("metadata", pa.string()),
    ]
)

_Content = bytes | str
_BATCH_CHARACTERS = 4 << 20
_BATCH_ROWS = 8192
_EXCERPT_BYTES = 301
_BLOCKS = {Container.ZSTD: zstd_blocks, Container.GZIP: gzip_blocks, Container.LINES: plain_blocks}


@dataclass
class ReadCounts:
    """What became of a shard: records, drops by reason, and what it turned out to be."""

    container: str = ""
    companion: str = ""
    records: int = 0
    bytes: int = 0
    dropped: Drops = field(default_factory=Drops)
    note: str = ""

    def drop(self, reason: DropReason, row: int, content: _Content, records: int = 1) -> None:
        """Records that are no documents; of the first of a reason the beginning of the content is kept."""
        self.dropped[reason.value] += records
        if self.dropped.lack_example(reason.value):
            text = content if isinstance(content, str) else _excerpt(content)
            self.dropped.add_example(reason.value, row, text)

    def drop_rest(self, note: str) -> None:
        """What follows cannot be read: it counts as one record, and no byte of it is shown."""
        self.note = note
        self.drop(DropReason.CORRUPT_SHARD, self.records, note)
        self.records += 1


def read_documents(shard: Shard, recipe: ReadRecipe, counts: ReadCounts) -> Iterator[pa.RecordBatch]:
    """Batches of BATCH_SCHEMA; ``row`` numbers the records of the shard from 0, dropped ones included.

    A cut or damaged shard gives the documents before the damage, then counts one ``corrupt_shard`` record.
    IntegrityError when the bytes are not those of the request.
    """
    with _checked_stream(shard, counts) as stream:
        head = stream.peek(HEAD_BYTES)
        container = container_of(head)
        counts.container = str(container or "unknown")
        if container is Container.EMPTY:
            counts.note = "empty"
        elif container is Container.PARQUET:
            yield from parquet_documents(shard, recipe, counts, BATCH_SCHEMA)
        elif container is None and b"\0" in head:
            counts.records += 1
            counts.drop(DropReason.UNKNOWN_SCHEMA, 0, head)
            counts.note = "neither JSON lines nor a known container"
        else:
            container = container or Container.LINES
            keys = first_record_keys(first_lines(head, container))
            if keys and (companion := companion_of(keys)):
                counts.companion = companion.value
            else:
                yield from _batches(_line_documents(shard, stream, container, recipe, counts))


def _line_documents(
    shard: Shard, stream: BinaryIO, container: Container, recipe: ReadRecipe, counts: ReadCounts
) -> Iterator[tuple[int, Fields]]:
    names = ShardNames.of(shard.name)
    # in JSON a character takes at most twice its UTF-8 bytes, save for control characters
    limit = 2 * recipe.max_document_bytes + (1 << 20)
    with _signals(shard, counts) as signals:
        lines = split_lines(_BLOCKS[container](stream), limit)
        while True:
            try:
                line = next(lines)
            except StopIteration:
                return
            except CorruptStream as error:
                counts.drop_rest(str(error))
                return
            row = counts.records
            counts.records += 1
            if isinstance(line, Overlong):
                counts.drop(DropReason.TOO_LARGE, row, line)
                continue
            record = parse_line(line)
            fields = (
                record
                if isinstance(record, DropReason)
                else fields_of(record, names, signals.of_row(row) if signals else None)
            )
            if isinstance(fields, Fields) and _too_large(fields.text, recipe.max_document_bytes):
                fields = DropReason.TOO_LARGE
            if isinstance(fields, DropReason):
                counts.drop(fields, row, line)
            else:
                yield row, fields


def parse_line(line: bytes) -> Any:
    """The JSON value, or the reason why it is none."""
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        pass
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError:
        return DropReason.INVALID_UTF8
    try:
        record = json.loads(text)  # also reads NaN and Infinity, which Python's writers leave
        json.dumps(record, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return DropReason.INVALID_UTF8  # half of a surrogate pair, escaped
    except (ValueError, RecursionError):
        return DropReason.INVALID_JSON
    return record


def _excerpt(content: bytes) -> str:
    """The beginning as text; a character that is cut off at the end of the excerpt is left out."""
    whole = len(content) <= _EXCERPT_BYTES
    return codecs.getincrementaldecoder("utf-8")("replace").decode(content[:_EXCERPT_BYTES], final=whole)


def _too_large(text: str, limit_bytes: int) -> bool:
    return len(text) > limit_bytes or (4 * len(text) > limit_bytes and len(text.encode()) > limit_bytes)


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
    arrays = [
        pa.array(rows, pa.int64()),
        *(pa.array(column, pa.string()) for column in zip(*columns, strict=True)),
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=BATCH_SCHEMA)


class _Signals:
    """RedPajama v2's quality signals, read in step with the documents of the same shard."""

    def __init__(self, stream: BinaryIO, counts: ReadCounts) -> None:
        self._lines = split_lines(gzip_blocks(stream), 1 << 24)
        self._counts = counts
        self._row, self._signals = -1, None

    def of_row(self, row: int) -> Any:
        """The signals of a row, by the number at the end of their id; None where there are none."""
        while self._row < row:
            try:
                line = next(self._lines, b"null")
                if isinstance(line, Overlong):
                    self._counts.note = "quality signals of some documents are too large and left out"
                    continue
                record = orjson.loads(line)
                position = int(str(record["id"]).rpartition("/")[2]) if record else row + 1
                signals = record.get("quality_signals") if record else None
            except (CorruptStream, orjson.JSONDecodeError, AttributeError, KeyError, ValueError, TypeError):
                self._counts.note = "quality signals are damaged from here on"
                record = None
            if record is None:
                self._row, self._signals = 1 << 62, None
                break
            self._row, self._signals = position, signals
        return self._signals if self._row == row else None


@contextlib.contextmanager
def _signals(shard: Shard, counts: ReadCounts) -> Iterator[_Signals | None]:
    if shard.signals is None:
        yield None
        return
    with storage.open_stream(shard.signals.uri, shard.signals.etag) as stream:
        yield _Signals(stream, counts)


@contextlib.contextmanager
def _checked_stream(shard: Shard, counts: ReadCounts) -> Iterator[Any]:
    """The shard's bytes; on S3 the etag is a condition of the request, local bytes are hashed in passing."""
    with storage.open_stream(shard.raw.uri, shard.raw.etag) as stream:
        checked = storage.HashedStream(stream)
        yield checked
        counts.bytes = shard.raw.size_bytes
        if storage.is_s3(shard.raw.uri):
            return
        while checked.read(1 << 20):  # the hash is to cover all of it
            pass
        if checked.sha256 != shard.raw.etag:
            raise storage.changed_input(shard.raw.uri, shard.raw.etag, checked.sha256)
