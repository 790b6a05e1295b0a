"""The aws-chunked encoding: every byte of the chunks and their trailers, or IncompleteBody."""

from __future__ import annotations

import io
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_aws.errors import AwsError
from local_aws.http.bodies import SizedBody
from local_aws.http.messages import Headers, Request
from local_aws.s3.aws_chunked import AwsChunkedBody, decoded_body


def source(content: bytes) -> io.RawIOBase:
    return cast(io.RawIOBase, io.BytesIO(content))


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6), st.integers(1, 64), st.booleans())
def test_the_body_is_its_chunks(chunks: list[bytes], size: int, signed: bool) -> None:
    mark = b";chunk-signature=abc" if signed else b""
    sent = b"".join(b"%x%s\r\n%s\r\n" % (len(chunk), mark, chunk) for chunk in chunks)
    body = AwsChunkedBody(source(sent + b"0" + mark + b"\r\nX-Amz-Checksum-Crc32: AbC= \r\nx-b:1\r\n\r\n"))
    assert b"".join(iter(lambda: body.read(size), b"")) == b"".join(chunks)
    assert body.read(1) == b""
    assert body.trailers == {"x-amz-checksum-crc32": "AbC=", "x-b": "1"}
    assert body.readable()


def test_the_blank_line_after_the_trailers_may_lack() -> None:
    assert AwsChunkedBody(source(b"1\r\na\r\n0\r\n")).read() == b"a"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "ends inside a chunk header"),
        (b"5", "ends inside a chunk header"),
        (b"5\r\nab", "ends inside a chunk"),
        (b"2\r\nabc\r\n0\r\n\r\n", "longer than it says"),
        (b"2\r\nab", "ends inside a chunk header"),
        (b"xyz\r\n", "is no chunk size"),
        (b"\r\n", "is no chunk size"),
        (b"-2\r\n", "a chunk size is negative"),
        (b"0;" + b"x" * 20_000 + b"\r\n\r\n", "ends inside a chunk header"),
    ],
)
def test_a_broken_body_is_incomplete(content: bytes, message: str) -> None:
    with pytest.raises(AwsError, match=message) as refusal:
        AwsChunkedBody(source(content)).read()
    assert refusal.value.code == "IncompleteBody"


@pytest.mark.parametrize(
    ("headers", "chunked"),
    [
        ({}, False),
        ({"content-encoding": "gzip", "x-amz-content-sha256": "UNSIGNED-PAYLOAD"}, False),
        ({"content-encoding": "gzip,aws-chunked"}, True),
        ({"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}, True),
    ],
)
def test_the_headers_say_whether_a_body_is_in_chunks(headers: dict[str, str], chunked: bool) -> None:
    content = b"1\r\na\r\n0\r\n\r\n"
    body = SizedBody(io.BufferedReader(source(content)), len(content))
    request = Request("PUT", "/b/k", Headers(headers.items()), body)
    reader, trailers = decoded_body(request)
    assert (trailers is not None) is chunked
    assert reader.read() == (b"a" if chunked else content)


@pytest.mark.parametrize(
    ("trailer", "length", "code"),
    [("x-amz-checksum-crc32:NSRBwg==\r\n", "3", b"MalformedTrailerError"), ("", "three", b"InvalidArgument")],
)
def test_a_trailer_that_was_not_announced_and_a_length_that_is_no_number_are_refused(
    s3: Any, bucket: str, http_call: Any, trailer: str, length: str, code: bytes
) -> None:
    headers = {
        "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "x-amz-decoded-content-length": length,
        "Content-Encoding": "aws-chunked",
    }
    answer = http_call("PUT", f"/{bucket}/k", f"3\r\nabc\r\n0\r\n{trailer}\r\n".encode(), headers)
    assert answer.status == 400 and code in answer.body
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
