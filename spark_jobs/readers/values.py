"""Splits a text into JSON objects by their braces, independently of lines.

This is slower than splitting lines. It is for arrays of records, records over several lines, and records
without separators.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from spark_jobs.readers.compression import Block, Damage
from spark_jobs.readers.pieces import RECORD_SEPARATORS, Overlong, Piece, Torn, bounded

#: What may stand between records: separators, commas, brackets of an array, a brace too many, and the bytes
#: of U+0085, U+2028, U+2029 and of the byte order mark of a file that was joined.
_BETWEEN = RECORD_SEPARATORS + b",[]}" + "\x85\u2028\u2029\ufeff".encode()

#: A string, whole if it ends in a quote, or a mark. A raw line feed ends a string that is broken.
_TOKEN = re.compile(rb'"[^"\\\n]*+(?:\\[^\n][^"\\\n]*+)*+("?)|[{}\[\]\n]')
_QUOTE, _LINE_FEED, _BRACE = b'"\n{'


def split_values(blocks: Iterable[Block], limit_bytes: int) -> Iterator[Piece]:
    """Yield top-level JSON objects, and other text between them.

    Commas, white space and the brackets of an array are no records. An Overlong stands for each record
    above the limit. The record that a Damage cuts off is Torn.
    """
    cutter = _Cutter(limit_bytes)
    for block in blocks:
        if isinstance(block, Damage):
            yield from cutter.finish()
            if torn := cutter.rest():
                yield Torn(torn)
            yield block
            cutter = _Cutter(limit_bytes)
        else:
            yield from cutter.feed(block)
    yield from cutter.finish()
    if rest := cutter.rest():
        yield bounded(rest, limit_bytes)


def whole_values(content: bytes) -> tuple[list[bytes], bytes]:
    """Return the whole records at the beginning of ``content``, and what follows the last of them."""
    cutter = _Cutter(len(content))
    whole = list(cutter.feed(content))
    return whole, cutter.rest()


class _Cutter:
    """Finds the ends of records by counting braces outside of strings."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._buffer = b""
        #: Where the next piece begins, and where the search goes on.
        self._start = self._at = 0
        self._depth = 0
        #: How the line of the newest record begins.
        self._line_start = b"\n{"
        self._overlong: Overlong | None = None

    def feed(self, block: bytes) -> Iterator[bytes]:
        """Yield the pieces that end in ``block``."""
        self._buffer = self._buffer[self._start :] + block
        self._at, self._start = self._at - self._start, 0
        yield from self._search()
        while len(self._buffer) - self._start > self._limit:
            if not self._resume():
                self._give_up()
                return
            yield from self._search()

    def finish(self) -> Iterator[bytes]:
        """Yield the pieces that a broken record was taken to hold; ``rest`` is what is left."""
        while self._resume():
            yield from self._search()

    def rest(self) -> bytes:
        """Return what has been fed since the last piece; empty if it is blank."""
        if self._overlong is not None:
            return self._overlong
        return _stripped(self._buffer[self._start :])

    def _resume(self) -> bool:
        """Treat the newest record as broken if a later line begins in the same way, and continue there.

        Return False if no line does. A record that lacks a brace would take all that follows for its own.
        """
        if self._depth == 0 or self._overlong is not None:
            return False
        found = self._buffer.find(self._line_start, self._start + 1)
        if found < 0:
            return False
        self._at, self._depth = found, 0
        return True

    def _search(self) -> Iterator[bytes]:
        while match := _TOKEN.search(self._buffer, self._at):
            token = self._buffer[match.start()]
            if token == _QUOTE and not match[1]:
                following = self._buffer[match.end() : match.end() + 2]
                if following[:1] != b"\n" and following != b"\\\n":
                    self._at = match.start()  # the string goes on in the next block
                    return
                self._depth = 0
                yield from self._piece(match.end())
            self._at = match.end()
            if token == _QUOTE:
                continue
            if token == _LINE_FEED:
                if self._depth == 0:
                    yield from self._piece(match.start())
            elif self._depth == 0:
                if token == _BRACE:
                    yield from self._record(match.start())
            else:
                self._depth += 1 if token in b"{[" else -1
                if self._depth == 0:
                    yield from self._piece(match.end())
        self._at = len(self._buffer)

    def _record(self, position: int) -> Iterator[bytes]:
        line = self._buffer.rfind(b"\n", self._start, position)
        indent = self._buffer[max(line + 1, self._start) : position]
        self._line_start = b"\n" + (b"" if indent.strip() else indent) + b"{"
        self._depth = 1
        yield from self._piece(position)

    def _piece(self, end: int) -> Iterator[bytes]:
        """Yield what lies between the last piece and ``end``."""
        if self._overlong is not None:
            yield self._overlong
            self._overlong = None
        elif piece := _stripped(self._buffer[self._start : end]):
            yield bounded(piece, self._limit)
        self._start = end

    def _give_up(self) -> None:
        """Keep the beginning of an overlong record, and remember if it ends within a string."""
        if self._overlong is None:
            self._overlong = Overlong.of(self._buffer[self._start :])
        rest = self._buffer[self._at :]
        if rest[:1] == b'"':
            escaped = len(rest) - len(rest.rstrip(b"\\"))
            rest = b'"' + b"\\" * (escaped % 2)
        self._buffer, self._start, self._at = rest, 0, 0


def _stripped(content: bytes) -> bytes:
    return content if content[:1] == b"{" else content.strip(_BETWEEN)
