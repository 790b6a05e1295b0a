"""Splits blocks of bytes into lines, with a limit on the memory for one line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from spark_jobs.readers.compression import Block, Damage
from spark_jobs.readers.pieces import Overlong, Piece, Torn, bounded
from spark_jobs.readers.values import whole_values


def split_lines(blocks: Iterable[Block], limit_bytes: int) -> Iterator[Piece]:
    """Yield lines without their ends. Skip blank lines, and yield an Overlong for each line above the limit.

    A line above the limit that holds several records is split into these. A line that a Damage cuts off is
    yielded as Torn. At most one block and ``limit_bytes`` are in memory.
    """
    carried = _Carried(limit_bytes)
    for block in blocks:
        if isinstance(block, Damage):
            if (torn := carried.take()).strip() and not isinstance(torn, Overlong):
                yield Torn(torn)
            yield block
            continue
        first, *lines = block.split(b"\n")
        if not lines:
            yield from carried.add(block)
            continue
        rest = lines.pop()
        yield from _line(carried.take(first), limit_bytes)
        for line in lines:
            if len(line) > limit_bytes:
                yield from _line(line, limit_bytes)
            elif line and not line.isspace():
                yield line
        yield from carried.add(rest)
    yield from _line(carried.take(), limit_bytes)


class _Carried:
    """The line that the next block goes on with."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._pieces: list[bytes] = []
        self._size = 0
        self._overlong: Overlong | None = None

    def add(self, piece: bytes) -> Iterator[bytes]:
        """Add to the line; yield the records that it is made of once it is above the limit."""
        if self._overlong is not None:
            return
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size <= self._limit:
            return
        line = b"".join(self._pieces)
        if not line.strip(b"\0"):  # a record may follow the zeros of an interrupted download
            self._pieces, self._size = [b"\0"], 1
            return
        whole, rest = whole_values(line)
        yield from (bounded(value, self._limit) for value in whole)
        if whole:
            self._pieces, self._size = [rest], len(rest)
        else:
            self._overlong = Overlong.of(line)
            self._pieces = []

    def take(self, end: bytes = b"") -> bytes:
        """Return the line with its end, or an Overlong for it, and begin another."""
        line = self._overlong or b"".join((*self._pieces, end))
        self._pieces, self._size, self._overlong = [], 0, None
        return line


def _line(line: bytes, limit_bytes: int) -> Iterator[bytes]:
    """Yield a line unless it is blank; of one above the limit, the records that it is made of."""
    if len(line) <= limit_bytes:
        if line.strip():
            yield line
        return
    whole, rest = whole_values(line)
    for piece in (*whole, rest) if whole else (line,):
        if piece:
            yield bounded(piece, limit_bytes)
