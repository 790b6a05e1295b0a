"""Requests that S3 would honour and the local S3 cannot are refused, and leave nothing behind."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

PUT_OBJECT = {"Key": "k", "Body": b"x"}
CUSTOMER_KEY = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": b"0" * 32}


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (CUSTOMER_KEY, "SSE-C"),
        ({"ServerSideEncryption": "aws:kms"}, "KMS"),
        ({"ServerSideEncryption": "aws:kms:dsse"}, "KMS"),
        ({"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "alias/none"}, "KMS"),
        ({"StorageClass": "GLACIER"}, "RestoreObject"),
        ({"StorageClass": "DEEP_ARCHIVE"}, "RestoreObject"),
        ({"ObjectLockLegalHoldStatus": "ON"}, "object lock"),
        ({"BucketKeyEnabled": True}, "KMS"),
        ({"WriteOffsetBytes": 0}, "appending"),
    ],
)
@pytest.mark.parametrize("operation", ["put_object", "create_multipart_upload", "copy_object"])
def test_what_would_be_pretended_is_a_501_and_makes_no_object(
    s3: Any, bucket: str, operation: str, arguments: dict[str, Any], word: str
) -> None:
    if "WriteOffsetBytes" in arguments and operation != "put_object":
        pytest.skip("only PutObject appends")
    s3.put_object(Bucket=bucket, Key="source", Body=b"s")
    own: dict[str, Any] = {"put_object": {"Body": b"x"}, "copy_object": {"CopySource": f"{bucket}/source"}}
    with pytest.raises(ClientError, match=word) as refused:
        getattr(s3, operation)(Bucket=bucket, Key="k", **own.get(operation, {}), **arguments)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert "s3:" in refused.value.response["Error"]["Message"]
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["source"]
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_reading_with_a_customers_key_is_refused(s3: Any, bucket: str, fails: Any) -> None:
    s3.put_object(Bucket=bucket, **PUT_OBJECT)
    assert fails(s3.head_object, Bucket=bucket, Key="k", **CUSTOMER_KEY)[1] == 501
    assert fails(s3.get_object, Bucket=bucket, Key="k", **CUSTOMER_KEY) == ("NotImplemented", 501)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"ACL": "public-read"}, "AccessControlListNotSupported"),
        ({"GrantRead": "id=other"}, "AccessControlListNotSupported"),
        ({"StorageClass": "EXPRESS_ONEZONE"}, "InvalidStorageClass"),
        ({"StorageClass": "NONE"}, "InvalidStorageClass"),
        ({"ServerSideEncryption": "ROT13"}, "InvalidEncryptionAlgorithmError"),
        ({"ExpectedBucketOwner": "999999999999"}, "AccessDenied"),
    ],
)
def test_what_s3_refuses_is_refused_with_its_code(
    s3: Any, bucket: str, fails: Any, arguments: dict[str, Any], code: str
) -> None:
    assert fails(s3.put_object, Bucket=bucket, **PUT_OBJECT, **arguments)[0] == code
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


@pytest.mark.parametrize(
    "arguments",
    [
        {"ACL": "private"},
        {"ACL": "bucket-owner-full-control"},
        {"StorageClass": "STANDARD_IA"},
        {"StorageClass": "GLACIER_IR"},
        {"ServerSideEncryption": "AES256"},
        {"ExpectedBucketOwner": "123456789012"},
    ],
)
def test_what_needs_nothing_more_is_accepted_and_shown(
    s3: Any, bucket: str, arguments: dict[str, Any]
) -> None:
    s3.put_object(Bucket=bucket, **PUT_OBJECT, **arguments)
    shown = s3.head_object(Bucket=bucket, Key="k")
    for name in ("StorageClass", "ServerSideEncryption"):
        assert shown.get(name) == arguments.get(name)


@pytest.mark.parametrize(
    "arguments",
    [
        {"ObjectLockEnabledForBucket": True},
        {"ACL": "public-read"},
        {"ObjectOwnership": "ObjectWriter"},
        {"CreateBucketConfiguration": {"Bucket": {"Type": "Directory"}}},
    ],
)
def test_a_bucket_that_is_refused_does_not_exist(s3: Any, bucket: str, fails: Any, arguments: Any) -> None:
    name = f"{bucket}-refused"
    assert fails(s3.create_bucket, Bucket=name, **arguments)[1] in (400, 501)
    assert fails(s3.head_bucket, Bucket=name) == ("404", 404)


def test_a_checksum_that_would_not_be_verified_is_refused(http_call: Any, bucket: str) -> None:
    answer = http_call("PUT", f"/{bucket}/k", b"x", {"x-amz-checksum-xxhash64": "AAAAAAAAAAA="})
    assert answer.status == 501
    assert b"x-amz-checksum-xxhash64" in answer.body


def test_mfa_delete_is_refused(s3: Any, bucket: str, fails: Any) -> None:
    wanted = {"Status": "Enabled", "MFADelete": "Enabled"}
    assert fails(s3.put_bucket_versioning, Bucket=bucket, VersioningConfiguration=wanted)[1] == 501
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)


def test_an_object_is_deleted_from_a_list_only_with_the_etag_that_is_named(s3: Any, bucket: str) -> None:
    kept = s3.put_object(Bucket=bucket, **PUT_OBJECT)["ETag"]
    entries = [{"Key": "k", "ETag": '"0123"'}]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": entries})
    assert [error["Code"] for error in answer["Errors"]] == ["PreconditionFailed"]
    assert s3.head_object(Bucket=bucket, Key="k")["ETag"] == kept
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k", "ETag": kept}]})
    assert [done["Key"] for done in answer["Deleted"]] == ["k"]


def test_a_bucket_shows_the_region_that_it_was_created_for(shared_local_aws: Any, bucket: str) -> None:
    s3 = shared_local_aws.client("s3")
    name = f"{bucket}-eu"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    assert s3.get_bucket_location(Bucket=name)["LocationConstraint"] == "eu-west-1"
    assert s3.head_bucket(Bucket=name)["BucketRegion"] == "eu-west-1"
    assert s3.get_bucket_location(Bucket=bucket).get("LocationConstraint") is None


@pytest.mark.parametrize(("size", "is_accepted"), [(8 << 20, True), ((8 << 20) + 1, False)])
def test_a_document_of_eight_mebibytes_is_read_and_a_larger_one_refused(
    http_call: Any, bucket: str, size: int, is_accepted: bool
) -> None:
    start, end = b"<Delete><Object><Key>none</Key></Object>", b"</Delete>"
    body = start + b" " * (size - len(start) - len(end)) + end
    answer = http_call("POST", f"/{bucket}?delete", body=body)
    assert answer.status == (200 if is_accepted else 400)
    assert is_accepted or b"MaxMessageLengthExceeded" in answer.body
