"""Readers of request bodies: by Content-Length, or with chunked transfer encoding."""

from __future__ import annotations

import re
from collections.abc import Mapping
from io import RawIOBase
from typing import Protocol

_MAX_LINE_BYTES = 8192


class ConnectionReader(Protocol):
    """The buffered read side of a connection."""

    def readinto1(self, buffer: memoryview, /) -> int: ...

    def readline(self, limit: int, /) -> bytes: ...


class BodyReader(RawIOBase):
    """A readable body. ``readinto`` raises ConnectionError if the client disconnects in the middle."""

    def readable(self) -> bool:
        return True


class SizedBody(BodyReader):
    """A body of exactly ``length`` bytes of ``source``."""

    def __init__(self, source: ConnectionReader, length: int) -> None:
        self._source = source
        self._left = length

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill at most ``buffer``; 0 at the end."""
        if not self._left:
            return 0
        view = memoryview(buffer)[: self._left]
        count: int = self._source.readinto1(view)
        if not count:
            raise ConnectionAbortedError(
                f"the client disconnected {self._left} bytes before the end of the body"
            )
        self._left -= count
        return count


class ChunkedBody(BodyReader):
    """A body in HTTP's chunked transfer encoding. S3's aws-chunked is another format, inside the body."""

    def __init__(self, source: ConnectionReader) -> None:
        self._source = source
        self._left = 0
        self._ended = False

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill at most ``buffer``; 0 at the end."""
        if self._ended:
            return 0
        if not self._left:
            size = self._line().split(b";")[0].strip()
            if not re.fullmatch(rb"[0-9a-fA-F]{1,15}", size):
                raise ConnectionAbortedError(
                    "a chunk does not begin with its size, so the rest of the body cannot be read"
                )
            self._left = int(size, 16)
            if not self._left:
                while self._line():
                    pass
                self._ended = True
                return 0
        view = memoryview(buffer)[: self._left]
        count: int = self._source.readinto1(view)
        if not count:
            raise ConnectionAbortedError("the client disconnected in the middle of a chunk")
        self._left -= count
        if not self._left:
            self._line()
        return count

    def _line(self) -> bytes:
        line = self._source.readline(_MAX_LINE_BYTES)
        if not line.endswith(b"\n"):
            raise ConnectionAbortedError("the client disconnected in the middle of a chunk header")
        return line.strip()


def request_body(headers: Mapping[str, str], source: ConnectionReader) -> BodyReader:
    """Return a reader of the body that ``headers`` describe. Raises ValueError if they are malformed."""
    if encoding := headers.get("transfer-encoding", "").strip().lower():
        if encoding != "chunked":
            raise ValueError(f"Transfer-Encoding: expected chunked, got {encoding!r}")
        if "content-length" in headers:
            raise ValueError("the request has both Content-Length and Transfer-Encoding; send one of them")
        return ChunkedBody(source)
    length = headers.get("content-length", "0")
    if not re.fullmatch("[0-9]{1,15}", length):
        raise ValueError(f"Content-Length: expected a number, got {length!r}")
    return SizedBody(source, int(length))
