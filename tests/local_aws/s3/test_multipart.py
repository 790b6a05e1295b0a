"""Multipart uploads: parts, completion, checksums of the whole, listings."""

from __future__ import annotations

import base64
import hashlib
import io
import os
from pathlib import Path
from typing import Any

import pytest
from awscrt import checksums as crt
from boto3.s3.transfer import TransferConfig

MEBI = 1 << 20
PART = 5 * MEBI


@pytest.fixture
def upload(s3: Any, bucket: str) -> dict[str, str]:
    created = s3.create_multipart_upload(Bucket=bucket, Key="big", Metadata={"a": "1"}, ContentType="text/x")
    return {"Bucket": bucket, "Key": "big", "UploadId": created["UploadId"]}


def send(s3: Any, upload: dict[str, str], *bodies: bytes) -> list[dict[str, Any]]:
    return [
        {"PartNumber": n, "ETag": s3.upload_part(**upload, PartNumber=n, Body=body)["ETag"]}
        for n, body in enumerate(bodies, 1)
    ]


def test_parts_become_one_object_when_completed(
    s3: Any, bucket: str, upload: dict[str, str], fails: Any, folder: Path, shared_local_aws: Any
) -> None:
    bodies = [os.urandom(PART), os.urandom(PART), b"tail"]
    parts = send(s3, upload, *bodies)
    assert fails(s3.head_object, Bucket=bucket, Key="big") == ("404", 404)
    assert list(folder.iterdir()) == []
    done = s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    digests = b"".join(hashlib.md5(body).digest() for body in bodies)
    assert done["ETag"] == f'"{hashlib.md5(digests).hexdigest()}-3"'
    got = s3.get_object(Bucket=bucket, Key="big")
    assert got["Body"].read() == b"".join(bodies)
    assert (got["ETag"], got["Metadata"], got["ContentType"]) == (done["ETag"], {"a": "1"}, "text/x")
    second = s3.get_object(Bucket=bucket, Key="big", PartNumber=2)
    assert second["Body"].read() == bodies[1] and second["PartsCount"] == 3
    assert fails(s3.list_parts, **upload) == ("NoSuchUpload", 404)
    assert list((shared_local_aws.root / ".s3" / bucket / "uploads").iterdir()) == []


def test_a_part_sent_again_replaces_the_first(
    s3: Any, bucket: str, upload: dict[str, str], fails: Any
) -> None:
    first = send(s3, upload, b"first")
    second = send(s3, upload, b"second")
    listed = s3.list_parts(**upload)["Parts"]
    assert [(part["PartNumber"], part["Size"]) for part in listed] == [(1, 6)]
    assert fails(s3.complete_multipart_upload, **upload, MultipartUpload={"Parts": first}) == (
        "InvalidPart",
        400,
    )
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": second})
    assert s3.get_object(Bucket=bucket, Key="big")["Body"].read() == b"second"


def test_wrong_completions_are_refused_and_leave_the_upload(
    s3: Any, bucket: str, upload: dict[str, str], fails: Any
) -> None:
    parts = send(s3, upload, b"small", b"small too")

    def complete(chosen: list[dict[str, Any]]) -> Any:
        return fails(s3.complete_multipart_upload, **upload, MultipartUpload={"Parts": chosen})

    assert complete(parts[::-1]) == ("InvalidPartOrder", 400)
    assert complete([{"PartNumber": 9, "ETag": '"x"'}]) == ("InvalidPart", 400)
    assert complete(parts) == ("EntityTooSmall", 400)
    assert complete([]) == ("MalformedXML", 400)
    assert fails(s3.upload_part, **upload, PartNumber=10_001, Body=b"") == ("InvalidArgument", 400)
    assert fails(s3.upload_part, **{**upload, "UploadId": "nope"}, PartNumber=1) == ("NoSuchUpload", 404)
    assert fails(s3.upload_part, **{**upload, "UploadId": "../../x"}, PartNumber=1) == ("NoSuchUpload", 404)
    assert fails(s3.upload_part, **{**upload, "Key": "other"}, PartNumber=1) == ("NoSuchUpload", 404)
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts[1:]})
    assert s3.get_object(Bucket=bucket, Key="big")["Body"].read() == b"small too"


def test_completion_may_be_conditional(s3: Any, bucket: str, upload: dict[str, str], fails: Any) -> None:
    parts = {"Parts": send(s3, upload, b"data")}
    s3.put_object(Bucket=bucket, Key="big", Body=b"was here first")
    refused = fails(s3.complete_multipart_upload, **upload, MultipartUpload=parts, IfNoneMatch="*")
    assert refused == ("PreconditionFailed", 412)
    s3.delete_object(Bucket=bucket, Key="big")
    s3.complete_multipart_upload(**upload, MultipartUpload=parts, IfNoneMatch="*")


def test_an_aborted_upload_leaves_nothing(s3: Any, upload: dict[str, str], fails: Any) -> None:
    parts = send(s3, upload, b"data")
    s3.abort_multipart_upload(**upload)
    for call in (s3.list_parts, s3.abort_multipart_upload):
        assert fails(call, **upload) == ("NoSuchUpload", 404)
    assert fails(s3.upload_part, **upload, PartNumber=2, Body=b"") == ("NoSuchUpload", 404)
    assert fails(s3.complete_multipart_upload, **upload, MultipartUpload={"Parts": parts}) == (
        "NoSuchUpload",
        404,
    )


def test_parts_can_be_copied_whole_and_by_range(
    s3: Any, bucket: str, upload: dict[str, str], fails: Any
) -> None:
    source = os.urandom(PART + 1000)
    s3.put_object(Bucket=bucket, Key="source", Body=source)
    place = {"CopySource": {"Bucket": bucket, "Key": "source"}}
    one = s3.upload_part_copy(**upload, PartNumber=1, **place)["CopyPartResult"]["ETag"]
    two = s3.upload_part_copy(**upload, PartNumber=2, **place, CopySourceRange="bytes=10-19")
    parts = [{"PartNumber": 1, "ETag": one}, {"PartNumber": 2, "ETag": two["CopyPartResult"]["ETag"]}]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert s3.get_object(Bucket=bucket, Key="big")["Body"].read() == source + source[10:20]


def test_full_object_checksums_equal_those_of_the_whole(s3: Any, bucket: str) -> None:
    bodies = [os.urandom(PART), os.urandom(12_345)]
    for algorithm, function, size in (
        ("CRC32", crt.crc32, 4),
        ("CRC32C", crt.crc32c, 4),
        ("CRC64NVME", crt.crc64nvme, 8),
    ):
        created = s3.create_multipart_upload(
            Bucket=bucket, Key=algorithm, ChecksumAlgorithm=algorithm, ChecksumType="FULL_OBJECT"
        )
        upload = {"Bucket": bucket, "Key": algorithm, "UploadId": created["UploadId"]}
        parts = []
        for n, body in enumerate(bodies, 1):
            sent = s3.upload_part(**upload, PartNumber=n, Body=body, ChecksumAlgorithm=algorithm)
            name = f"Checksum{algorithm}"
            parts.append({"PartNumber": n, "ETag": sent["ETag"], name: sent[name]})
        done = s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        whole = base64.b64encode(function(b"".join(bodies)).to_bytes(size, "big")).decode()
        assert (done[f"Checksum{algorithm}"], done["ChecksumType"]) == (whole, "FULL_OBJECT")
        assert s3.get_object(Bucket=bucket, Key=algorithm, ChecksumMode="ENABLED")["Body"].read()


def test_composite_checksums_are_of_the_parts_checksums(s3: Any, bucket: str) -> None:
    created = s3.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm="SHA256")
    upload = {"Bucket": bucket, "Key": "k", "UploadId": created["UploadId"]}
    sent = s3.upload_part(**upload, PartNumber=1, Body=b"data", ChecksumAlgorithm="SHA256")
    part = {"PartNumber": 1, "ETag": sent["ETag"], "ChecksumSHA256": sent["ChecksumSHA256"]}
    done = s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [part]})
    composite = hashlib.sha256(hashlib.sha256(b"data").digest()).digest()
    assert done["ChecksumSHA256"] == f"{base64.b64encode(composite).decode()}-1"
    assert done["ChecksumType"] == "COMPOSITE"


def test_the_transfer_manager_uploads_downloads_and_copies_in_parts(
    s3: Any, bucket: str, tmp_path: Path
) -> None:
    body = os.urandom(18 * MEBI + 7)
    config = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, max_concurrency=4)
    s3.upload_fileobj(io.BytesIO(body), bucket, "big", Config=config)
    s3.copy({"Bucket": bucket, "Key": "big"}, bucket, "copy", Config=config)
    for key in ("big", "copy"):
        s3.download_file(bucket, key, str(tmp_path / key), Config=config)
        assert (tmp_path / key).read_bytes() == body
        assert s3.head_object(Bucket=bucket, Key=key)["ETag"].endswith('-4"')


def test_parts_and_uploads_are_listed_in_pages(s3: Any, bucket: str, upload: dict[str, str]) -> None:
    send(s3, upload, b"1", b"22", b"333")
    pages = list(s3.get_paginator("list_parts").paginate(**upload, PaginationConfig={"PageSize": 2}))
    assert [[part["Size"] for part in page["Parts"]] for page in pages] == [[1, 2], [3]]
    for key in ("a/1", "a/2", "big", "é"):
        s3.create_multipart_upload(Bucket=bucket, Key=key)
    paginator = s3.get_paginator("list_multipart_uploads")
    found = paginator.paginate(Bucket=bucket, PaginationConfig={"PageSize": 2})
    keys = [entry["Key"] for page in found for entry in page["Uploads"]]
    assert keys == ["a/1", "a/2", "big", "big", "é"]
    grouped = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/", MaxUploads=2)
    assert [entry["Prefix"] for entry in grouped["CommonPrefixes"]] == ["a/"]
    rest = s3.list_multipart_uploads(
        Bucket=bucket,
        Delimiter="/",
        KeyMarker=grouped["NextKeyMarker"],
        UploadIdMarker=grouped["NextUploadIdMarker"],
    )
    assert [entry["Key"] for entry in rest["Uploads"]] == ["big", "é"]
    assert "CommonPrefixes" not in rest


@pytest.mark.parametrize("span", ["bytes=5-10", "bytes=10-11", "bytes=5-", "bytes=-3", "bytes=9-5", "0-4"])
def test_a_copied_range_that_the_source_does_not_have_is_refused(
    s3: Any, upload: dict[str, str], fails: Any, span: str
) -> None:
    s3.put_object(Bucket=upload["Bucket"], Key="source", Body=b"0123456789")
    source = {"CopySource": f"{upload['Bucket']}/source", "CopySourceRange": span}
    assert fails(s3.upload_part_copy, **upload, PartNumber=1, **source) == ("InvalidArgument", 400)
    assert "Parts" not in s3.list_parts(**upload)


def test_an_empty_page_is_the_last_one(s3: Any, upload: dict[str, str]) -> None:
    send(s3, upload, b"1", b"22")
    assert not s3.list_parts(**upload, MaxParts=0)["IsTruncated"]
    assert not s3.list_multipart_uploads(Bucket=upload["Bucket"], MaxUploads=0)["IsTruncated"]
