"""Bytes that do not fit the checksums of a request are refused."""

from __future__ import annotations

import base64
import hashlib
import zlib
from typing import Any

import pytest

BODY = b"The quick brown fox jumps over the lazy dog" * 100_000  # above the limit for hashing in a thread
SMALL = b"123456789"
CHECK = {  # published check values of "123456789"
    "CRC32": "cbf43926",
    "CRC32C": "e3069283",
    "CRC64NVME": "ae8b14860a799888",
    "SHA1": hashlib.sha1(SMALL).hexdigest(),
    "SHA256": hashlib.sha256(SMALL).hexdigest(),
}


def encoded(hexadecimal: str) -> str:
    return base64.b64encode(bytes.fromhex(hexadecimal)).decode()


@pytest.mark.parametrize("algorithm", CHECK)
def test_each_algorithm_is_computed_stored_and_returned(s3: Any, bucket: str, algorithm: str) -> None:
    put = s3.put_object(Bucket=bucket, Key="k", Body=SMALL, ChecksumAlgorithm=algorithm)
    assert put[f"Checksum{algorithm}"] == encoded(CHECK[algorithm])
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert (head[f"Checksum{algorithm}"], head["ChecksumType"]) == (
        put[f"Checksum{algorithm}"],
        "FULL_OBJECT",
    )
    assert s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")["Body"].read() == SMALL


def test_without_a_checksum_the_server_keeps_crc64nvme(http_call: Any, s3: Any, bucket: str) -> None:
    assert http_call("PUT", f"/{bucket}/k", SMALL).status == 200
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert head["ChecksumCRC64NVME"] == encoded(CHECK["CRC64NVME"])


@pytest.mark.parametrize("body", [SMALL, BODY], ids=["small", "large"])
@pytest.mark.parametrize("algorithm", CHECK)
def test_a_wrong_checksum_stores_nothing(
    http_call: Any, s3: Any, bucket: str, fails: Any, algorithm: str, body: bytes
) -> None:
    wrong = encoded("00" * (len(CHECK[algorithm]) // 2))
    headers = {f"x-amz-checksum-{algorithm.lower()}": wrong}
    answer = http_call("PUT", f"/{bucket}/k", body, headers)
    assert (answer.status, b"<Code>BadDigest</Code>" in answer.body) == (400, True)
    assert fails(s3.head_object, Bucket=bucket, Key="k") == ("404", 404)


def test_content_md5_is_verified(http_call: Any, s3: Any, bucket: str) -> None:
    good = base64.b64encode(hashlib.md5(BODY).digest()).decode()
    other = base64.b64encode(hashlib.md5(SMALL).digest()).decode()
    assert b"BadDigest" in http_call("PUT", f"/{bucket}/k", BODY, {"Content-MD5": other}).body
    assert b"InvalidDigest" in http_call("PUT", f"/{bucket}/k", BODY, {"Content-MD5": "not base64"}).body
    assert http_call("PUT", f"/{bucket}/k", BODY, {"Content-MD5": good}).status == 200


def test_the_signed_payload_hash_is_verified(http_call: Any, s3: Any, bucket: str) -> None:
    wrong = {"x-amz-content-sha256": hashlib.sha256(b"other").hexdigest()}
    assert b"XAmzContentSHA256Mismatch" in http_call("PUT", f"/{bucket}/k", BODY, wrong).body
    right = {"x-amz-content-sha256": hashlib.sha256(BODY).hexdigest()}
    assert http_call("PUT", f"/{bucket}/k", BODY, right).status == 200
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert "ChecksumCRC64NVME" in head and "ChecksumSHA256" not in head


def chunked(body: bytes, chunk: int, trailer: str = "", signed: bool = False) -> bytes:
    """Encode ``body`` as aws-chunked."""
    signature = b";chunk-signature=" + b"0" * 64 if signed else b""
    out = b""
    for start in range(0, len(body), chunk):
        piece = body[start : start + chunk]
        out += b"%x%s\r\n%s\r\n" % (len(piece), signature, piece)
    return out + b"0%s\r\n" % signature + (trailer.encode() + b"\r\n" if trailer else b"") + b"\r\n"


def chunked_headers(body: bytes, **extra: str) -> dict[str, str]:
    return {
        "Content-Encoding": "aws-chunked",
        "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "x-amz-decoded-content-length": str(len(body)),
        **extra,
    }


@pytest.mark.parametrize("body", [b"", SMALL, BODY], ids=["empty", "small", "large"])
@pytest.mark.parametrize("signed", [False, True])
def test_aws_chunked_bodies_are_decoded_and_their_trailers_verified(
    http_call: Any, s3: Any, bucket: str, body: bytes, signed: bool
) -> None:
    crc = base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
    headers = chunked_headers(body, **{"x-amz-trailer": "x-amz-checksum-crc32"})
    raw = chunked(body, 65_537, f"x-amz-checksum-crc32:{crc}", signed)
    assert http_call("PUT", f"/{bucket}/k", raw, headers).status == 200
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert (got["Body"].read() == body, got["ChecksumCRC32"]) == (True, crc)
    assert got.get("ContentEncoding") is None


def test_a_broken_trailer_or_frame_stores_nothing(http_call: Any, s3: Any, bucket: str, fails: Any) -> None:
    headers = chunked_headers(SMALL, **{"x-amz-trailer": "x-amz-checksum-crc32"})
    wrong = chunked(SMALL, 5, "x-amz-checksum-crc32:AAAAAA==")
    assert b"BadDigest" in http_call("PUT", f"/{bucket}/k", wrong, headers).body
    assert b"MalformedTrailerError" in http_call("PUT", f"/{bucket}/k", chunked(SMALL, 5), headers).body
    plain = chunked_headers(SMALL)
    for broken in (
        b"5\r\n12345",
        b"5\r\n123456789\r\n0\r\n\r\n",
        b"zz\r\n12\r\n0\r\n\r\n",
        b"-5\r\n12345\r\n",
        SMALL,
    ):
        answer = http_call("PUT", f"/{bucket}/k", broken, plain)
        assert (answer.status, b"IncompleteBody" in answer.body) == (400, True), broken
    short = {**plain, "x-amz-decoded-content-length": "10"}
    assert b"IncompleteBody" in http_call("PUT", f"/{bucket}/k", chunked(SMALL, 5), short).body
    assert fails(s3.head_object, Bucket=bucket, Key="k") == ("404", 404)


def test_chunked_transfer_encoding_is_read_too(http_call: Any, s3: Any, bucket: str) -> None:
    # http.client sends an iterable as Transfer-Encoding: chunked
    pieces = (BODY[start : start + 100_000] for start in range(0, len(BODY), 100_000))
    assert http_call("PUT", f"/{bucket}/k", pieces).status == 200
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == BODY


def test_boto3_streams_a_file_object_of_unknown_length(s3: Any, bucket: str) -> None:
    import io

    s3.upload_fileobj(io.BytesIO(BODY), bucket, "k")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == BODY
