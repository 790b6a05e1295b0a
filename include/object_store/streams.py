"""Byte streams: an S3 object that survives dropped connections, ranges as a file, hashes on the way."""

from __future__ import annotations

import hashlib
import io
import time
from typing import Any, BinaryIO

from include.contracts.errors import IntegrityError
from include.contracts.storage import S3Uri
from include.object_store.errors import (
    StorageUnavailable,
    changed_object,
    code_of,
    readable_errors,
    translated,
)

BLOCK_BYTES = 1 << 20
#: Connections that drop in a row without a byte in between.
_DROPS = 5
_FIRST_WAIT_SECONDS = 0.1


class S3Stream(io.RawIOBase):
    """An object, or the bytes from ``start`` to before ``end``, as a forward-only stream.

    A connection that drops is opened again where it was. Every byte is of one version: of ``etag`` if it is
    given, else of the version that the first answer names. Raises IntegrityError for another version.
    """

    def __init__(
        self, client: Any, at: S3Uri, etag: str = "", start: int = 0, end: int | None = None
    ) -> None:
        super().__init__()
        self._client, self._at = client, at
        self._position, self._end = start, end
        self.etag = etag
        self._body: Any = None
        self._open()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        chunk = self._next(len(buffer))
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def read(self, size: int | None = -1) -> bytes:
        # the inherited one copies every byte twice
        return self.readall() if size is None or size < 0 else self._next(size)

    def readall(self) -> bytes:
        chunks = []
        while chunk := self._next(BLOCK_BYTES):
            chunks.append(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def close(self) -> None:
        if not self.closed and self._body is not None:
            self._body.close()
        super().close()

    @property
    def size_left(self) -> int | None:
        """Bytes from here to the end; None where the server does not say."""
        return None if self._end is None else self._end - self._position

    def _next(self, size: int) -> bytes:
        """Return up to ``size`` bytes; none only at the end."""
        drops = 0
        while True:
            try:
                chunk: bytes = self._body.read(size) if self._body is not None else b""
                if chunk or self._end is None or self._position >= self._end:
                    self._position += len(chunk)
                    return chunk
                error: Exception = EOFError(f"the body ended at byte {self._position} of {self._end}")
            except _connection_errors() as dropped:
                error = dropped
            except Exception as damaged:
                if (readable := translated(damaged, self._at)) is None:
                    raise
                raise readable from damaged
            drops += 1
            if drops == _DROPS:
                raise StorageUnavailable(
                    f"the connection dropped {drops} times in a row",
                    where=str(self._at),
                    got=f"{type(error).__name__}: {error}, at byte {self._position}",
                    remedy="try again later",
                ) from error
            time.sleep(_FIRST_WAIT_SECONDS * 2 ** (drops - 1) if drops > 1 else 0)
            self._open()

    def _open(self) -> None:
        request = {"Bucket": self._at.bucket, "Key": self._at.key}
        if self.etag:
            request["IfMatch"] = f'"{self.etag}"'
        if self._position or self._end is not None:
            last = "" if self._end is None else self._end - 1
            request["Range"] = f"bytes={self._position}-{last}"
        with readable_errors(self._at):
            try:
                answer = self._client.get_object(**request)
            except Exception as error:
                code = code_of(error)
                if code in ("PreconditionFailed", "412"):
                    raise changed_object(str(self._at), self.etag, "another version") from error
                if code not in ("InvalidRange", "416"):
                    raise
                # nothing lies behind this byte
                self._body, self._end = None, self._position
                return
        self._body = answer["Body"]
        self.etag = self.etag or str(answer.get("ETag", "")).strip('"')
        if "ContentLength" in answer:
            self._end = self._position + int(answer["ContentLength"])


class RangedReader(io.RawIOBase):
    """A seekable object of which only the bytes that are read are fetched, all of one version.

    It does not buffer: each read is one request.
    """

    def __init__(self, client: Any, at: S3Uri, size_bytes: int, etag: str) -> None:
        super().__init__()
        self._client, self._at, self._etag = client, at, etag
        self._size = size_bytes
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = start + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        size = max(0, min(len(buffer), self._size - self._position))
        if size:
            end = self._position + size
            with S3Stream(self._client, self._at, self._etag, self._position, end) as stream:
                content = stream.readall()
            if len(content) != size:
                raise IntegrityError(
                    "the object is shorter than its size", where=str(self._at), expected=f"{self._size} bytes"
                )
            buffer[:size] = content
            self._position = end
        return size


class HashedStream:
    """A stream that hashes what is read."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        self.size_bytes = 0

    def read(self, size: int = -1) -> bytes:
        """Read up to ``size`` bytes; empty at the end."""
        content = self._stream.read(size)
        self._digest.update(content)
        self.size_bytes += len(content)
        return content

    @property
    def sha256(self) -> str:
        """SHA-256 of everything read so far."""
        return self._digest.hexdigest()


def _connection_errors() -> tuple[type[Exception], ...]:
    from botocore.exceptions import HTTPClientError, IncompleteReadError

    return (OSError, HTTPClientError, IncompleteReadError)
