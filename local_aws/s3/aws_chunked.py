"""Decodes S3's aws-chunked content encoding: chunks with optional signatures, trailers with checksums.

400;chunk-signature=…\\r\\n<0x400 bytes>\\r\\n0;chunk-signature=…\\r\\nx-amz-checksum-crc32:…\\r\\n\\r\\n
"""

from __future__ import annotations

from io import BufferedReader, RawIOBase

from local_aws.errors import AwsError
from local_aws.http.messages import Request

_MAX_LINE_BYTES = 16384


class AwsChunkedBody(RawIOBase):
    """The decoded body. ``trailers`` (by lower-case name) are complete after ``readinto`` has returned 0."""

    def __init__(self, source: RawIOBase) -> None:
        self._source = BufferedReader(source, 1 << 16)
        self._left = 0
        self._ended = False
        self.trailers: dict[str, str] = {}

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill ``buffer`` at most and return the count, 0 at the end. Raises AwsError IncompleteBody."""
        if self._ended:
            return 0
        if not self._left:
            self._next_chunk()
            if self._ended:
                return 0
        count = self._source.readinto1(memoryview(buffer)[: self._left])
        if not count:
            raise _incomplete("the body ends inside a chunk")
        self._left -= count
        if not self._left and self._line():
            raise _incomplete("a chunk is longer than it says")
        return count

    def _next_chunk(self) -> None:
        size = self._line().split(b";")[0]
        try:
            self._left = int(size, 16)
        except ValueError as error:
            raise _incomplete(f"{size[:32]!r} is no chunk size") from error
        if self._left < 0:
            raise _incomplete("a chunk size is negative")
        if self._left == 0:
            while line := self._line(end_is_blank=True):
                name, _, value = line.decode("latin-1").partition(":")
                self.trailers[name.strip().lower()] = value.strip()
            self._ended = True

    def _line(self, *, end_is_blank: bool = False) -> bytes:
        line = self._source.readline(_MAX_LINE_BYTES)
        if not line.endswith(b"\n") and not (end_is_blank and not line):
            raise _incomplete("the body ends inside a chunk header")
        return line.strip()


def decoded_body(request: Request) -> tuple[RawIOBase, AwsChunkedBody | None]:
    """Return a reader of the object's bytes, and the same as AwsChunkedBody if the body is aws-chunked."""
    source = request.body
    assert isinstance(source, RawIOBase)
    encoded = request.headers.get("content-encoding", "")
    payload = request.headers.get("x-amz-content-sha256", "")
    if "aws-chunked" in encoded or payload.startswith("STREAMING-"):
        chunked = AwsChunkedBody(source)
        return chunked, chunked
    return source, None


def _incomplete(why: str) -> AwsError:
    return AwsError("IncompleteBody", f"The aws-chunked body is broken: {why}.", 400)
