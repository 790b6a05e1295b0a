"""CompleteMultipartUpload: checksums of the whole object, and the same request sent twice."""

from __future__ import annotations

import base64
import hashlib
import os
import zlib
from typing import Any

import pytest
from awscrt import checksums as crt
from hypothesis import given, settings
from hypothesis import strategies as st

from local_aws.s3 import checksums

PART = 5 << 20
BODIES = [os.urandom(PART), os.urandom(PART + 1), b"tail"]
FULL = {
    "CRC32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
    "CRC32C": lambda data: crt.crc32c(data).to_bytes(4, "big"),
    "CRC64NVME": lambda data: crt.crc64nvme(data).to_bytes(8, "big"),
}
DIGESTS: dict[str, Any] = {
    **FULL,
    "SHA1": lambda data: hashlib.sha1(data).digest(),
    "SHA256": lambda data: hashlib.sha256(data).digest(),
}
KINDS = [(name, "FULL_OBJECT") for name in FULL] + [
    (name, "COMPOSITE") for name in ("CRC32", "CRC32C", "SHA1", "SHA256")
]


def expected(algorithm: str, kind: str) -> str:
    """Compute the checksum of the whole without local_aws."""
    digest = DIGESTS[algorithm]
    data = b"".join(BODIES) if kind == "FULL_OBJECT" else b"".join(digest(body) for body in BODIES)
    return base64.b64encode(digest(data)).decode()


def started(s3: Any, bucket: str, algorithm: str, kind: str) -> tuple[dict[str, str], list[dict[str, Any]]]:
    made = s3.create_multipart_upload(
        Bucket=bucket, Key="whole", ChecksumAlgorithm=algorithm, ChecksumType=kind
    )
    upload = {"Bucket": bucket, "Key": "whole", "UploadId": made["UploadId"]}
    parts = []
    for number, body in enumerate(BODIES, 1):
        sent = s3.upload_part(**upload, PartNumber=number, Body=body, ChecksumAlgorithm=algorithm)
        name = f"Checksum{algorithm}"
        parts.append({"PartNumber": number, "ETag": sent["ETag"], name: sent[name]})
    return upload, parts


@pytest.mark.parametrize(("algorithm", "kind"), KINDS)
def test_the_right_checksum_of_the_whole_is_accepted_and_a_wrong_one_is_refused(
    s3: Any, bucket: str, fails: Any, algorithm: str, kind: str
) -> None:
    upload, parts = started(s3, bucket, algorithm, kind)
    right = expected(algorithm, kind)
    wrong = base64.b64encode(bytes(len(base64.b64decode(right)))).decode()
    name = f"Checksum{algorithm}"
    request = {**upload, "MultipartUpload": {"Parts": parts}, "ChecksumType": kind}
    assert fails(s3.complete_multipart_upload, **request, **{name: wrong}) == ("BadDigest", 400)
    assert fails(s3.head_object, Bucket=bucket, Key="whole") == ("404", 404)
    done = s3.complete_multipart_upload(**request, **{name: right}, MpuObjectSize=sum(map(len, BODIES)))
    assert done[name].partition("-")[0] == right and done["ChecksumType"] == kind
    got = s3.get_object(Bucket=bucket, Key="whole", ChecksumMode="ENABLED")
    assert got["Body"].read() == b"".join(BODIES)
    assert got[name] == done[name]


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"ChecksumSHA256": expected("SHA256", "FULL_OBJECT")}, "Checksum Type mismatch"),
        ({"ChecksumType": "COMPOSITE"}, "checksum mode"),
        ({"MpuObjectSize": 7}, "does not match"),
    ],
)
def test_a_claim_that_does_not_fit_the_upload_is_refused(
    s3: Any, bucket: str, claims: dict[str, Any], said: str
) -> None:
    upload, parts = started(s3, bucket, "CRC32", "FULL_OBJECT")
    with pytest.raises(s3.exceptions.ClientError, match=f"InvalidRequest.*{said}"):
        s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, **claims)


def test_a_composite_upload_needs_the_checksum_of_each_part(s3: Any, bucket: str) -> None:
    upload, parts = started(s3, bucket, "SHA256", "COMPOSITE")
    del parts[1]["ChecksumSHA256"]
    with pytest.raises(s3.exceptions.ClientError, match="missing for part 2"):
        s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})


def complete(s3: Any, bucket: str, body: bytes = b"once") -> tuple[dict[str, Any], dict[str, Any]]:
    """Complete an upload, and return the request with its answer."""
    made = s3.create_multipart_upload(Bucket=bucket, Key="k")
    upload = {"Bucket": bucket, "Key": "k", "UploadId": made["UploadId"]}
    part = {"PartNumber": 1, "ETag": s3.upload_part(**upload, PartNumber=1, Body=body)["ETag"]}
    request = {**upload, "MultipartUpload": {"Parts": [part]}}
    return request, shown(s3.complete_multipart_upload(**request))


def shown(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


@pytest.mark.parametrize("versioned", [False, True])
def test_completing_twice_gives_the_same_answer(s3: Any, bucket: str, versioned: bool) -> None:
    if versioned:
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    request, first = complete(s3, bucket)
    assert shown(s3.complete_multipart_upload(**request)) == first
    assert len(s3.list_object_versions(Bucket=bucket)["Versions"]) == 1
    # a client that retries a conditional write has written the object itself
    assert shown(s3.complete_multipart_upload(**request, IfNoneMatch="*")) == first


def test_completing_twice_survives_a_restart(local_aws_server: Any) -> None:
    s3 = local_aws_server.client("s3")
    s3.create_bucket(Bucket="bucket")
    request, first = complete(s3, "bucket")
    local_aws_server.restart()
    assert shown(local_aws_server.client("s3").complete_multipart_upload(**request)) == first


def test_completing_again_after_the_object_was_replaced_or_deleted_finds_no_upload(
    s3: Any, bucket: str, fails: Any
) -> None:
    request, _ = complete(s3, bucket)
    s3.put_object(Bucket=bucket, Key="k", Body=b"another")
    assert fails(s3.complete_multipart_upload, **request) == ("NoSuchUpload", 404)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"another"
    request, _ = complete(s3, bucket)
    s3.delete_object(Bucket=bucket, Key="k")
    assert fails(s3.complete_multipart_upload, **request) == ("NoSuchUpload", 404)


def test_completing_again_with_other_parts_finds_no_upload(s3: Any, bucket: str, fails: Any) -> None:
    request, _ = complete(s3, bucket)
    request["MultipartUpload"]["Parts"][0]["ETag"] = '"00"'
    assert fails(s3.complete_multipart_upload, **request) == ("NoSuchUpload", 404)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(max_size=300), min_size=1, max_size=8), st.sampled_from(sorted(FULL)))
def test_the_checksum_of_a_whole_follows_from_those_of_its_parts(bodies: list[bytes], algorithm: str) -> None:
    digest = FULL[algorithm]
    sums = [(base64.b64encode(digest(body)).decode(), len(body)) for body in bodies]
    whole = base64.b64encode(digest(b"".join(bodies))).decode()
    assert checksums.combined(algorithm, sums) == whole


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"ChecksumCRC64NVME": "AAAAAAAAAAA="}, "BadDigest"),
        ({"ChecksumSHA256": expected("SHA256", "FULL_OBJECT")}, "InvalidRequest"),
        ({"ChecksumType": "COMPOSITE"}, "InvalidRequest"),
        ({"MpuObjectSize": 7}, "InvalidRequest"),
    ],
)
def test_completing_again_with_a_wrong_claim_is_refused(
    s3: Any, bucket: str, fails: Any, claims: dict[str, Any], code: str
) -> None:
    request, first = complete(s3, bucket)
    assert fails(s3.complete_multipart_upload, **request, **claims) == (code, 400)
    assert shown(s3.complete_multipart_upload(**request)) == first


def test_completing_again_with_other_numbers_or_part_checksums_finds_no_upload(
    s3: Any, bucket: str, fails: Any
) -> None:
    upload, parts = started(s3, bucket, "SHA256", "COMPOSITE")
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    renumbered = [{**part, "PartNumber": part["PartNumber"] + 1} for part in parts]
    swapped = [{**part, "ChecksumSHA256": parts[0]["ChecksumSHA256"]} for part in parts]
    for others in (renumbered, swapped):
        refused = fails(s3.complete_multipart_upload, **upload, MultipartUpload={"Parts": others})
        assert refused == ("NoSuchUpload", 404)


def test_a_part_with_a_checksum_of_another_algorithm_is_refused(s3: Any, bucket: str, fails: Any) -> None:
    made = s3.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm="SHA256")
    part = {"Bucket": bucket, "Key": "k", "UploadId": made["UploadId"], "PartNumber": 1, "Body": b"x"}
    in_header = {"ChecksumCRC32": base64.b64encode(zlib.crc32(b"x").to_bytes(4, "big")).decode()}
    for claim in (in_header, {"ChecksumAlgorithm": "CRC32C"}):
        assert fails(s3.upload_part, **part, **claim) == ("InvalidRequest", 400)
    s3.upload_part(**part, ChecksumAlgorithm="SHA256")


def test_the_attributes_of_an_object_list_its_parts_in_pages(s3: Any, bucket: str, fails: Any) -> None:
    upload, parts = started(s3, bucket, "SHA1", "COMPOSITE")
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    asked = {"Bucket": bucket, "Key": "whole", "ObjectAttributes": ["ObjectParts"]}
    first = s3.get_object_attributes(**asked, MaxParts=2)["ObjectParts"]
    assert (first["TotalPartsCount"], first["IsTruncated"], first["NextPartNumberMarker"]) == (3, True, 2)
    rest = s3.get_object_attributes(**asked, PartNumberMarker=2)["ObjectParts"]
    found = first["Parts"] + rest["Parts"]
    assert [part["ChecksumSHA1"] for part in found] == [part["ChecksumSHA1"] for part in parts]
    assert [part["Size"] for part in found] == [len(body) for body in BODIES]
    assert not rest["IsTruncated"]
    refused = fails(s3.get_object_attributes, **{**asked, "ObjectAttributes": ["Colour"]})
    assert refused == ("InvalidArgument", 400)
