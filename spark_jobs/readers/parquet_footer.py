"""Open parquet files whose footer is damaged where the data does not need it, and files that were joined.

Names that are no UTF-8, a damaged Arrow schema and bytes after the footer would each cost all rows.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from spark_jobs.readers.parquet_groups import UNREADABLE, damage_note

_MAGIC = b"PAR1"
#: Length of the footer and magic number, which end a file.
_END_BYTES = 8
_SEARCHED_BYTES = 1 << 20
#: Magic numbers that are tried: texts may contain them.
_MOST_TRIED = 1000
#: What the header of a page begins with: its type, then its size.
_PAGE_HEADER = re.compile(rb"\x15[\x00\x02\x04\x06]\x15")

#: In nanoseconds, pyarrow takes timestamps of 96 bits modulo 584 years: 9999 would be another year.
_OPTIONS: dict[str, Any] = {"page_checksum_verification": True, "coerce_int96_timestamp_unit": "us"}
_SCHEMA_KEY = b"ARROW:schema"
#: Fields of FileMetaData (parquet.thrift) by their numbers, with those of the structures in between.
_SCHEMA_NAME, _COLUMN_PATH, _METADATA_KEY = (2, 4), (4, 1, 3, 3), (5, 1)


@dataclass(frozen=True)
class _Source:
    """A file, or the part of a joined one that ``content`` is."""

    path: Path
    content: Any = None

    @property
    def readable(self) -> Any:
        """The argument of ParquetFile: the path, or a reader of the part."""
        return self.path if self.content is None else pa.BufferReader(self.content)

    @property
    def size(self) -> int:
        """Bytes of the file or of the part."""
        return self.path.stat().st_size if self.content is None else int(self.content.size)

    @property
    def is_padding(self) -> bool:
        """True if the part has nothing but zeros and white space."""
        return not any(self.read(at, _SEARCHED_BYTES).strip(b"\0 \t\r\n") for at in self._chunks())

    def read(self, start: int, size: int) -> bytes:
        """Read a range; fewer bytes at the end."""
        if self.content is not None:
            return bytes(self.content.slice(start, min(size, self.size - start)).to_pybytes())
        with self.path.open("rb") as file:
            file.seek(start)
            return file.read(size)

    def part(self, start: int, end: int) -> _Source:
        """Return a part, which is mapped into memory and not read."""
        content = pa.memory_map(str(self.path)).read_buffer() if self.content is None else self.content
        return _Source(self.path, content.slice(start, end - start))

    def magic_numbers(self, end: int) -> Iterator[int]:
        """Yield the positions of magic numbers before ``end``, from the last to the first."""
        while end > 0:
            start = max(0, end - _SEARCHED_BYTES)
            chunk = self.read(start, end - start + len(_MAGIC) - 1)
            found = len(chunk)
            while (found := chunk.rfind(_MAGIC, 0, found + len(_MAGIC) - 1)) >= 0:
                yield start + found
            end = start

    def _chunks(self) -> range:
        return range(0, self.size, _SEARCHED_BYTES)


@dataclass(frozen=True)
class _Opened:
    """A source whose footer was read, and where that footer ends. The file is None if there is none."""

    file: pq.ParquetFile | None
    note: str
    end: int = 0


def open_files(path: Path) -> Iterator[tuple[pq.ParquetFile | None, str]]:
    """Yield the parquet files that a file consists of, one after another, each with a note on its damage.

    The file is None where it has no readable footer, and for bytes between files that are no padding.
    """
    whole = _Source(path)
    opened = _open(whole)
    if opened.file is None or (
        opened.end == whole.size and not _start(whole, opened.file.metadata, opened.end)
    ):
        yield opened.file, opened.note
        return
    opened.file.close()
    for part, note in reversed([*_parts_from_the_last(whole)]):
        opened = _open(part)
        lost = "" if opened.file else f"{opened.note} ({part.size} bytes that are no parquet file)"
        yield opened.file, lost or note or opened.note


def _parts_from_the_last(source: _Source) -> Iterator[tuple[_Source, str]]:
    """Yield the parts that a file was joined from, each with the note on its footer."""
    while True:
        opened = _open(source)
        if opened.file is None:
            yield source, opened.note
            return
        start = _start(source, opened.file.metadata, opened.end)
        opened.file.close()
        if opened.end < source.size and not (rest := source.part(opened.end, source.size)).is_padding:
            yield rest, ""
        yield source.part(start, opened.end), opened.note
        if not start:
            return
        source = source.part(0, start)


def repaired_footer(footer: bytes) -> bytes:
    """Return a footer of the same length without Arrow's schema, and with '?' for bytes that spoil a name."""
    found = bytearray(footer)
    for fields, start, end in _strings(footer):
        value = footer[start:end]
        if fields == _METADATA_KEY and value == _SCHEMA_KEY:
            found[start:end] = _SCHEMA_KEY.replace(b":", b"?")
        elif fields in (_SCHEMA_NAME, _COLUMN_PATH) and not _is_utf8(value):
            found[start:end] = bytes(byte if byte < 0x80 else ord("?") for byte in value)
    return bytes(found)


def _open(source: _Source) -> _Opened:
    try:
        file = pq.ParquetFile(source.readable, **_OPTIONS)
        return _Opened(file, "", source.size)
    except UNREADABLE as error:
        note = damage_note(error)
    for position in itertools.islice(source.magic_numbers(source.size), _MOST_TRIED):
        end = position + len(_MAGIC)
        try:
            metadata = _salvaged_metadata(source, end)
            file = pq.ParquetFile(source.readable, metadata=metadata, **_OPTIONS)
        except (*UNREADABLE, IndexError, RecursionError):
            continue
        return _Opened(file, f"{note} (the rows were found by the rest of the footer)", end)
    return _Opened(None, note)


def _salvaged_metadata(source: _Source, end: int) -> pq.FileMetaData:
    """Read the footer that ends there, without what may be left out of it."""
    if end < _END_BYTES:
        raise ValueError("no footer")
    length = int.from_bytes(source.read(end - _END_BYTES, 4), "little")
    if not 0 < length <= end - _END_BYTES:
        raise ValueError("no footer")
    footer = repaired_footer(source.read(end - _END_BYTES - length, length))
    alone = _MAGIC + footer + length.to_bytes(4, "little") + _MAGIC
    with pq.ParquetFile(pa.BufferReader(alone)) as file:
        return file.metadata


def _start(source: _Source, metadata: pq.FileMetaData, end: int) -> int:
    """Return where the last of several joined files begins, 0 for a single file.

    Its offsets are counted from its own beginning, so that more bytes lie before its data than there should.
    """
    first_page, data_end = 0, len(_MAGIC)
    if metadata.num_row_groups and metadata.num_columns:
        first_page, _ = _pages(metadata, 0, 0)
        _, data_end = _pages(metadata, metadata.num_row_groups - 1, metadata.num_columns - 1)
    # indexes may lie behind the data, so that the file begins there or before
    latest = end - _END_BYTES - metadata.serialized_size - data_end
    if latest <= 0:
        return 0
    if not first_page:
        return latest if source.read(latest, len(_MAGIC)) == _MAGIC else 0
    for position in itertools.islice(source.magic_numbers(latest + 1), _MOST_TRIED):
        if not position or _PAGE_HEADER.match(source.read(position + first_page, 3)):
            return position
    return 0


def _pages(metadata: pq.FileMetaData, group: int, column: int) -> tuple[int, int]:
    """Return where the pages of a column begin and end."""
    chunk = metadata.row_group(group).column(column)
    start = chunk.dictionary_page_offset if chunk.has_dictionary_page else chunk.data_page_offset
    return start, start + chunk.total_compressed_size


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _strings(footer: bytes) -> Iterator[tuple[tuple[int, ...], int, int]]:
    """Yield the strings of a footer: field numbers on the way to them, start and end."""
    reader = _Compact(footer)
    reader.skip_structure(())
    yield from reader.strings


class _Compact:
    """A reader of Thrift's compact protocol that skips everything and notes where strings are."""

    _TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _STRING, _LIST, _SET, _MAP, _STRUCTURE = range(1, 13)

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0
        self.strings: list[tuple[tuple[int, ...], int, int]] = []

    def skip_structure(self, fields: tuple[int, ...]) -> None:
        number = 0
        while header := self._byte():
            delta, kind = header >> 4, header & 0x0F
            number = number + delta if delta else self._varint() >> 1
            if kind not in (self._TRUE, self._FALSE):  # the type is the value
                self._skip(kind, (*fields, number))

    def _skip(self, kind: int, fields: tuple[int, ...]) -> None:
        if kind in (self._TRUE, self._FALSE, self._BYTE):
            self._at += 1
        elif kind in (self._I16, self._I32, self._I64):
            self._varint()
        elif kind == self._DOUBLE:
            self._at += 8
        elif kind == self._STRING:
            size = self._varint()
            self.strings.append((fields, self._at, self._at + size))
            self._at += size
        elif kind in (self._LIST, self._SET):
            header = self._byte()
            for _ in range(header >> 4 if header >> 4 < 15 else self._varint()):
                self._skip(header & 0x0F, fields)
        elif kind == self._STRUCTURE:
            self.skip_structure(fields)
        else:
            raise ValueError(f"a footer has no fields of type {kind}")

    def _byte(self) -> int:
        self._at += 1
        return self._content[self._at - 1]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
