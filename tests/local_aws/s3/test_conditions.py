"""Ranges, conditional reads and conditional writes."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest


@pytest.fixture
def key(s3: Any, bucket: str) -> str:
    s3.put_object(Bucket=bucket, Key="k", Body=bytes(range(100)))
    return "k"


@pytest.mark.parametrize(
    ("header", "expected", "content_range"),
    [
        ("bytes=0-0", bytes([0]), "bytes 0-0/100"),
        ("bytes=10-19", bytes(range(10, 20)), "bytes 10-19/100"),
        ("bytes=90-", bytes(range(90, 100)), "bytes 90-99/100"),
        ("bytes=90-1000", bytes(range(90, 100)), "bytes 90-99/100"),
        ("bytes=-3", bytes(range(97, 100)), "bytes 97-99/100"),
        ("bytes=-1000", bytes(range(100)), "bytes 0-99/100"),
    ],
)
def test_a_range_returns_exactly_its_bytes(
    s3: Any, bucket: str, key: str, header: str, expected: bytes, content_range: str
) -> None:
    got = s3.get_object(Bucket=bucket, Key=key, Range=header)
    assert got["Body"].read() == expected
    assert got["ContentRange"] == content_range
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    head = s3.head_object(Bucket=bucket, Key=key, Range=header)
    assert head["ContentLength"] == len(expected)


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=500-600", "bytes=-0"])
def test_a_range_outside_the_object_is_416(
    s3: Any, bucket: str, key: str, header: str, fails: Any, http_call: Any
) -> None:
    assert fails(s3.get_object, Bucket=bucket, Key=key, Range=header) == ("InvalidRange", 416)
    answer = http_call("GET", f"/{bucket}/{key}", headers={"Range": header})
    assert answer.headers["content-range"] == "bytes */100"


@pytest.mark.parametrize("header", ["bytes=5-2", "bytes=a-b", "lines=1-2", "bytes=-", "bytes=0-1,4-5"])
def test_a_header_that_is_no_single_range_is_ignored(
    http_call: Any, bucket: str, key: str, header: str
) -> None:
    answer = http_call("GET", f"/{bucket}/{key}", headers={"Range": header})
    assert (answer.status, len(answer.body)) == (200, 100)


def test_any_range_of_an_empty_object_is_416(s3: Any, bucket: str, fails: Any) -> None:
    s3.put_object(Bucket=bucket, Key="empty", Body=b"")
    assert s3.get_object(Bucket=bucket, Key="empty")["Body"].read() == b""
    assert fails(s3.get_object, Bucket=bucket, Key="empty", Range="bytes=0-") == ("InvalidRange", 416)


def test_conditional_reads_answer_304_and_412(s3: Any, bucket: str, key: str, fails: Any) -> None:
    head = s3.head_object(Bucket=bucket, Key=key)
    etag, modified = head["ETag"], head["LastModified"]
    place = {"Bucket": bucket, "Key": key}
    later, earlier = modified + timedelta(hours=1), modified - timedelta(hours=1)
    assert s3.get_object(**place, IfMatch=etag)["ETag"] == etag
    assert s3.get_object(**place, IfNoneMatch='"other"')["ETag"] == etag
    assert s3.get_object(**place, IfModifiedSince=earlier)["ETag"] == etag
    assert s3.get_object(**place, IfUnmodifiedSince=later)["ETag"] == etag
    assert fails(s3.get_object, **place, IfNoneMatch=etag) == ("304", 304)
    assert fails(s3.head_object, **place, IfModifiedSince=modified) == ("304", 304)
    assert fails(s3.get_object, **place, IfMatch='"other"') == ("PreconditionFailed", 412)
    assert fails(s3.get_object, **place, IfUnmodifiedSince=earlier) == ("PreconditionFailed", 412)
    # the ETag decides where both are given
    assert s3.get_object(**place, IfMatch=etag, IfUnmodifiedSince=earlier)["ETag"] == etag
    assert s3.get_object(**place, IfNoneMatch='"other"', IfModifiedSince=later)["ETag"] == etag


def test_the_connection_serves_on_after_304_and_416(http_call: Any, s3: Any, bucket: str, key: str) -> None:
    etag = s3.head_object(Bucket=bucket, Key=key)["ETag"]
    path = f"/{bucket}/{key}"
    assert http_call("GET", path, headers={"If-None-Match": etag}).status == 304
    assert http_call("GET", path, headers={"Range": "bytes=900-"}).status == 416
    assert http_call("HEAD", f"/{bucket}/none").status == 404
    assert http_call("PUT", "/no-such-bucket/k", b"x" * 300_000).status == 404
    assert http_call("GET", path).body == bytes(range(100))


def test_put_if_none_match_creates_only_once(s3: Any, bucket: str, key: str, fails: Any) -> None:
    assert fails(s3.put_object, Bucket=bucket, Key=key, Body=b"x", IfNoneMatch="*") == (
        "PreconditionFailed",
        412,
    )
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == bytes(range(100))
    s3.put_object(Bucket=bucket, Key="new", Body=b"x", IfNoneMatch="*")
    s3.delete_object(Bucket=bucket, Key="new")
    s3.put_object(Bucket=bucket, Key="new", Body=b"y", IfNoneMatch="*")


def test_put_if_match_replaces_only_what_was_read(s3: Any, bucket: str, key: str, fails: Any) -> None:
    first = s3.head_object(Bucket=bucket, Key=key)["ETag"]
    s3.put_object(Bucket=bucket, Key=key, Body=b"second", IfMatch=first)
    assert fails(s3.put_object, Bucket=bucket, Key=key, Body=b"third", IfMatch=first) == (
        "PreconditionFailed",
        412,
    )
    assert fails(s3.put_object, Bucket=bucket, Key="none", Body=b"", IfMatch=first) == ("NoSuchKey", 404)
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b"second"


def test_of_many_who_create_at_once_exactly_one_wins(shared_local_aws: Any, bucket: str) -> None:
    from botocore.exceptions import ClientError

    start, outcomes = threading.Barrier(8), []

    def create(name: int) -> None:
        client = shared_local_aws.client("s3")
        start.wait()
        try:
            client.put_object(Bucket=bucket, Key="lock", Body=str(name).encode(), IfNoneMatch="*")
            outcomes.append(name)
        except ClientError as error:
            assert error.response["Error"]["Code"] == "PreconditionFailed"

    threads = [threading.Thread(target=create, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 1
    client = shared_local_aws.client("s3")
    assert client.get_object(Bucket=bucket, Key="lock")["Body"].read() == str(outcomes[0]).encode()


def test_readers_never_see_a_mixture_while_writers_replace(shared_local_aws: Any, bucket: str) -> None:
    import hashlib

    bodies = [bytes([letter]) * (200_000 + letter) for letter in b"abcd"]
    client = shared_local_aws.client("s3")
    client.put_object(Bucket=bucket, Key="k", Body=bodies[0])
    done = threading.Event()

    def write() -> None:
        writer = shared_local_aws.client("s3")
        for turn in range(60):
            writer.put_object(Bucket=bucket, Key="k", Body=bodies[turn % 4])
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    reads = 0
    while not done.is_set() or reads == 0:
        got = client.get_object(Bucket=bucket, Key="k")
        body = got["Body"].read()
        assert body in bodies
        assert got["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
        reads += 1
    thread.join()


def test_presigned_urls_work_without_credentials_until_they_expire(
    local_aws_server: Any,
) -> None:
    import urllib.error
    import urllib.request

    for version in ("s3v4", "s3"):
        client = local_aws_server.client("s3", signature_version=version)
        client.create_bucket(Bucket="presigned")
        local_aws_server.control("clock", {"offset_seconds": 0})
        place = {"Bucket": "presigned", "Key": "a b/é"}
        put = client.generate_presigned_url("put_object", Params=place, ExpiresIn=60)
        request = urllib.request.Request(put, b"by url", {"Content-Type": ""}, method="PUT")
        urllib.request.urlopen(request).close()
        get = client.generate_presigned_url(
            "get_object", Params={**place, "ResponseContentType": "text/x"}, ExpiresIn=60
        )
        with urllib.request.urlopen(get) as answer:
            assert answer.read() == b"by url" and answer.headers["Content-Type"] == "text/x"
        local_aws_server.control("clock", {"advance_seconds": 61})
        with pytest.raises(urllib.error.HTTPError) as failure:
            urllib.request.urlopen(get)
        assert failure.value.code == 403 and b"expired" in failure.value.read()


def test_a_range_beyond_64_bits_is_a_range(s3: Any, bucket: str, fails: Any) -> None:
    s3.put_object(Bucket=bucket, Key="r", Body=b"0123456789")
    got = s3.get_object(Bucket=bucket, Key="r", Range=f"bytes=4-{2**64}")
    assert (got["ContentRange"], got["Body"].read()) == ("bytes 4-9/10", b"456789")
    assert fails(s3.get_object, Bucket=bucket, Key="r", Range=f"bytes={2**64}-") == ("InvalidRange", 416)


def test_a_range_and_a_part_number_exclude_each_other(s3: Any, bucket: str, fails: Any) -> None:
    s3.put_object(Bucket=bucket, Key="r", Body=b"0123456789")
    both = {"Range": "bytes=0-1", "PartNumber": 1}
    assert fails(s3.get_object, Bucket=bucket, Key="r", **both) == ("InvalidRequest", 400)
    assert fails(s3.head_object, Bucket=bucket, Key="r", **both) == ("400", 400)
