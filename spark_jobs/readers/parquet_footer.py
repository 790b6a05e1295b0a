"""Open parquet files whose footer is damaged where the data does not need it, and files that were joined.

Names that are no UTF-8, a damaged Arrow schema and bytes after the footer would each cost all rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from spark_jobs.readers.parquet_groups import UNREADABLE, damage_note

_MAGIC = b"PAR1"
_JOINT = _MAGIC + _MAGIC
#: Length of the footer and magic number, which end a file.
_END_BYTES = 8
#: Indexes may follow the data of a file: a joint is searched this far before its position without indexes.
_MOST_INDEX_BYTES = 1 << 20
#: The footer's end is searched in this many bytes at the end of a file.
_MOST_TRAILING_BYTES = 1 << 16

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

    def read(self, start: int, size: int) -> bytes:
        """Read a range; fewer bytes at the end."""
        if self.content is not None:
            return bytes(self.content.slice(start, min(size, self.size - start)).to_pybytes())
        with self.path.open("rb") as file:
            file.seek(start)
            return file.read(size)


def open_files(path: Path) -> Iterator[tuple[pq.ParquetFile | None, str]]:
    """Yield the parquet files that a file consists of, one after another, each with a note on its damage.

    The file is None where it has no readable footer.
    """
    first = _Source(path)
    file, note = _open(first)
    others: list[_Source] = []
    while file is not None and (joint := _joint(first, file)):
        file.close()
        content = pa.memory_map(str(path)).read_buffer() if first.content is None else first.content
        others.append(_Source(path, content.slice(joint)))
        first = _Source(path, content.slice(0, joint))
        file, note = _open(first)
    yield file, note
    for part in reversed(others):
        yield _open(part)


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


def _open(source: _Source) -> tuple[pq.ParquetFile | None, str]:
    try:
        return pq.ParquetFile(source.readable, page_checksum_verification=True), ""
    except UNREADABLE as error:
        note = damage_note(error)
    try:
        metadata = _salvaged_metadata(source)
        file = pq.ParquetFile(source.readable, metadata=metadata, page_checksum_verification=True)
    except (*UNREADABLE, IndexError, RecursionError):
        return None, note
    return file, f"{note} (the rows were found by the rest of the footer)"


def _salvaged_metadata(source: _Source) -> pq.FileMetaData:
    """Read the footer from its last magic number, without what may be left out of it."""
    size = source.size
    start = max(0, size - _MOST_TRAILING_BYTES)
    end = start + source.read(start, size - start).rindex(_MAGIC) + len(_MAGIC)
    length = int.from_bytes(source.read(end - _END_BYTES, 4), "little")
    if not 0 < length <= end - _END_BYTES:
        raise ValueError("no footer")
    footer = repaired_footer(source.read(end - _END_BYTES - length, length))
    alone = _MAGIC + footer + length.to_bytes(4, "little") + _MAGIC
    with pq.ParquetFile(pa.BufferReader(alone)) as file:
        return file.metadata


def _joint(source: _Source, file: pq.ParquetFile) -> int:
    """Return where the last of several joined files begins, 0 for a single file.

    Its offsets are counted from its own beginning, so that more bytes lie behind its data than there should.
    """
    metadata = file.metadata
    if not metadata.num_row_groups or not metadata.num_columns:
        return 0
    last = metadata.row_group(metadata.num_row_groups - 1).column(metadata.num_columns - 1)
    first_page = last.dictionary_page_offset if last.has_dictionary_page else last.data_page_offset
    extra = source.size - _END_BYTES - metadata.serialized_size - (first_page + last.total_compressed_size)
    if extra <= len(_MAGIC):
        return 0
    start = max(0, extra - _MOST_INDEX_BYTES)
    found = source.read(start, extra - start + len(_MAGIC)).rfind(_JOINT)
    return start + found + len(_MAGIC) if found >= 0 else 0


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
