"""Streams outlive dropped connections, and never mix two versions of an object."""

from __future__ import annotations

import hashlib
import io
import re
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError, ResponseStreamingError
from hypothesis import given
from hypothesis import strategies as st

from include.contracts.errors import IntegrityError
from include.contracts.storage import S3Uri
from include.object_store import ObjectStore, StorageUnavailable
from include.object_store.streams import HashedStream, S3Stream

AT = S3Uri("bucket", "key")


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that a stream would have waited."""
    waited: list[float] = []
    monkeypatch.setattr("include.object_store.streams.time.sleep", waited.append)
    return waited


class Dropping:
    """An S3 whose n-th connection breaks off after ``cuts[n]`` bytes."""

    def __init__(self, content: bytes, cuts: list[int], error: Exception, *, sized: bool = True) -> None:
        self.content, self.cuts, self.error, self.sized = content, cuts, error, sized
        self.requests: list[dict[str, str]] = []

    def get_object(self, **request: str) -> dict[str, Any]:
        cut = self.cuts[len(self.requests)] if len(self.requests) < len(self.cuts) else None
        self.requests.append(request)
        first, last = 0, len(self.content) - 1
        if match := re.fullmatch(r"bytes=(\d+)-(\d*)", request.get("Range", "")):
            first, last = int(match[1]), min(int(match[2] or last), last)
        body = self.content[first : last + 1]
        answer: dict[str, Any] = {"Body": Body(body, cut, self.error), "ETag": '"version"'}
        return answer | ({"ContentLength": len(body)} if self.sized else {})


class Body:
    def __init__(self, content: bytes, cut: int | None, error: Exception) -> None:
        self._stream, self._left, self._error = io.BytesIO(content), cut, error

    def read(self, size: int) -> bytes:
        if self._left is None:
            return self._stream.read(size)
        if self._left <= 0:
            if isinstance(self._error, EOFError):
                return b""
            raise self._error
        chunk = self._stream.read(min(size, self._left))
        self._left -= len(chunk)
        return chunk

    def close(self) -> None:
        pass


ERRORS = [
    ConnectionResetError(),
    ReadTimeoutError(endpoint_url="x"),
    ResponseStreamingError(error="x"),
    EOFError(),
]


@given(
    size=st.integers(1, 300),
    cuts=st.lists(st.integers(1, 40), max_size=6),
    error=st.sampled_from(ERRORS),
    sizes=st.lists(st.integers(1, 120), max_size=4),
    data=st.data(),
)
def test_every_byte_comes_once_whatever_breaks(
    size: int, cuts: list[int], error: Exception, sizes: list[int], data: st.DataObject
) -> None:
    content = bytes(number % 251 for number in range(size))
    s3 = Dropping(content, cuts, error)
    start = data.draw(st.integers(0, size - 1))
    end = data.draw(st.none() | st.integers(start + 1, size + 10))
    with S3Stream(s3, AT, "", start, end) as stream:
        parts = [stream.read(size) for size in sizes]
        assert b"".join([*parts, stream.readall()]) == content[start:end]
    assert {request.get("IfMatch") for request in s3.requests[1:]} <= {'"version"'}


def test_a_stream_goes_on_where_it_was_with_the_version_that_it_began_with() -> None:
    s3 = Dropping(bytes(range(100)), [30, 30], ConnectionResetError())
    with S3Stream(s3, AT) as stream:
        assert stream.readall() == bytes(range(100))
    ranges = [(request.get("Range"), request.get("IfMatch")) for request in s3.requests]
    assert ranges == [(None, None), ("bytes=30-99", '"version"'), ("bytes=60-99", '"version"')]


def test_a_body_that_ends_early_is_opened_again() -> None:
    s3 = Dropping(bytes(range(100)), [30], EOFError())
    with S3Stream(s3, AT) as stream:
        assert stream.readall() == bytes(range(100))


def test_a_stream_without_a_known_size_ends_where_the_body_ends() -> None:
    s3 = Dropping(bytes(range(100)), [30], ConnectionResetError(), sized=False)
    with S3Stream(s3, AT) as stream:
        assert stream.readall() == bytes(range(100))
    assert [request.get("Range") for request in s3.requests] == [None, "bytes=30-"]


def test_an_object_that_never_goes_on_is_unavailable(waits: list[float]) -> None:
    s3 = Dropping(bytes(100), [30, *[0] * 10], ConnectionResetError("by peer"))
    with (
        S3Stream(s3, AT) as stream,
        pytest.raises(StorageUnavailable, match=r"s3://bucket/key: .*5 times.*by peer.*byte 30"),
    ):
        stream.readall()
    assert waits == sorted(waits)
    assert sum(waits) > 1


def test_many_drops_with_bytes_in_between_are_borne() -> None:
    s3 = Dropping(bytes(range(200)), [10] * 19, ConnectionResetError())
    with S3Stream(s3, AT) as stream:
        assert stream.readall() == bytes(range(200))


def test_an_object_that_is_replaced_while_it_is_read_is_an_integrity_error(
    environment: None, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, uri = ObjectStore(), f"s3://{bucket}/key"
    store.write(uri, bytes(4 << 20))
    with store.open(uri) as stream:
        assert stream.read(10) == bytes(10)
        store.write(uri, bytes(5 << 20))
        drop_connection(stream)
        with pytest.raises(IntegrityError, match=f"{uri}: the file is not the one"):
            stream.read()


def test_a_ranged_stream_never_mixes_two_versions(environment: None, bucket: str) -> None:
    store, uri = ObjectStore(), f"s3://{bucket}/key"
    store.write(uri, b"first version")
    with store.open_ranged(uri) as stream:
        assert stream.read(5) == b"first"
        store.write(uri, b"other version")
        with pytest.raises(IntegrityError, match="not the one that the request names"):
            stream.read(8)


def test_another_version_than_the_named_one_is_refused_at_once(environment: None, bucket: str) -> None:
    store, uri = ObjectStore(), f"s3://{bucket}/key"
    etag = store.write(uri, b"old")
    assert store.read_range(uri, 0, 1, etag) == b"o"
    store.write(uri, b"new")
    for read in (lambda: store.open(uri, etag), lambda: store.read_range(uri, 0, 1, etag)):
        with pytest.raises(IntegrityError, match=f"{uri}.*expected etag {etag}"):
            read()


def drop_connection(stream: Any) -> None:
    """Close the socket below a stream, as a network does."""

    def broken(_: int) -> bytes:
        raise ConnectionResetError

    stream.raw._body.close()
    stream.raw._body.read = broken


def test_damage_on_the_way_is_noticed(
    environment: None, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 sends the checksum of the object, and botocore compares it with the bytes that came."""
    store, uri = ObjectStore(), f"s3://{bucket}/key"
    store.write(uri, b"content")
    with store.open(uri) as stream:
        raw = stream.raw._body._raw_stream  # type: ignore[attr-defined]
        read = raw.read
        monkeypatch.setattr(raw, "read", lambda size: read(size).replace(b"c", b"C"))
        with pytest.raises(IntegrityError, match=f"{uri}: the bytes were damaged"):
            stream.read()


@given(content=st.binary(max_size=200), sizes=st.lists(st.integers(0, 50), max_size=20))
def test_a_hashed_stream_passes_on_and_hashes_everything(content: bytes, sizes: list[int]) -> None:
    stream = HashedStream(io.BytesIO(content))
    taken = b""
    for size in sizes:
        taken += stream.read(size)
        assert stream.size_bytes == len(taken)
    while more := stream.read():
        taken += more
    assert taken == content
    assert stream.sha256 == hashlib.sha256(content).hexdigest()
