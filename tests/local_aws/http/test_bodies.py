"""Request bodies: every byte of the body and not one more, or an error."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_aws.http.bodies import ChunkedBody, SizedBody, request_body
from local_aws.http.messages import Headers, Request


class Source(io.BufferedReader):
    """A connection that holds the given bytes and then ends."""

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content))  # type: ignore[arg-type]


def body(content: bytes, **headers: str) -> bytes:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return request_body(named, Source(content)).read()


@given(st.binary(max_size=200), st.binary(max_size=20), st.integers(1, 64))
def test_a_sized_body_ends_at_its_length(content: bytes, rest: bytes, size: int) -> None:
    source = Source(content + rest)
    reader = SizedBody(source, len(content))
    assert b"".join(iter(lambda: reader.read(size), b"")) == content
    assert source.read() == rest


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6), st.binary(max_size=20), st.integers(1, 64))
def test_a_chunked_body_is_its_chunks_and_ends_after_its_trailers(
    chunks: list[bytes], rest: bytes, size: int
) -> None:
    sent = b"".join(b"%X;name=value\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    source = Source(sent + b"0\r\nx-trailer: 1\r\n\r\n" + rest)
    reader = ChunkedBody(source)
    assert b"".join(iter(lambda: reader.read(size), b"")) == b"".join(chunks)
    assert reader.read(1) == b""
    assert source.read() == rest


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "in the middle of a chunk header"),
        (b"5", "in the middle of a chunk header"),
        (b"5\r\nab", "in the middle of a chunk"),
        (b"5\r\nabcde", "in the middle of a chunk header"),
        (b"xyz\r\n", "does not begin with its size"),
        (b"-1\r\n", "does not begin with its size"),
        (b"\r\n", "does not begin with its size"),
        (b"1" * 16 + b"\r\n", "does not begin with its size"),
        (b"0;" + b"x" * 9000 + b"\r\n\r\n", "in the middle of a chunk header"),
    ],
)
def test_a_broken_chunked_body_is_an_error(content: bytes, message: str) -> None:
    with pytest.raises(ConnectionAbortedError, match=message):
        body(content, transfer_encoding="chunked")


def test_a_client_that_disconnects_is_told_by_the_missing_bytes() -> None:
    with pytest.raises(ConnectionAbortedError, match="disconnected 3 bytes before the end"):
        body(b"ab", content_length="5")


def test_the_headers_choose_the_reader() -> None:
    assert body(b"abc") == b""
    assert body(b"abc", content_length="2") == b"ab"
    assert body(b"1\r\na\r\n0\r\n\r\n", transfer_encoding=" Chunked ") == b"a"
    assert body(b"a", content_length="000000000000001") == b"a"


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"transfer_encoding": "gzip"}, "expected chunked, got 'gzip'"),
        (
            {"transfer_encoding": "chunked", "content_length": "1"},
            "both Content-Length and Transfer-Encoding",
        ),
        ({"content_length": "-1"}, "expected a number"),
        ({"content_length": ""}, "expected a number"),
        ({"content_length": "1" * 16}, "expected a number"),
    ],
)
def test_malformed_headers_are_refused(headers: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        body(b"", **headers)


def test_headers_are_found_in_any_case_and_repeated_ones_are_joined() -> None:
    headers = Headers([("X-A", "1"), ("x-a", "2"), ("Host", "h")])
    assert headers["X-a"] == "1,2"
    assert (len(headers), list(headers)) == (2, ["x-a", "host"])
    assert "HOST" in headers and "x-b" not in headers


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/a%20b?x=1&y=", "/a b", {"x": "1", "y": ""}),
        ("http://host:80/a?x=http://b", "/a", {"x": "http://b"}),
        ("/a?x=http://b", "/a", {"x": "http://b"}),
        ("http://host", "/", {}),
    ],
)
def test_the_target_is_path_and_query_also_in_absolute_form(
    target: str, path: str, query: dict[str, str]
) -> None:
    request = Request("GET", target, Headers(), io.BytesIO())  # type: ignore[arg-type]
    assert (request.path, request.query) == (path, query)
