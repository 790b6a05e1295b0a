"""S3 alone: buckets, refusals, metadata, pages, copies in parts, signed addresses."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from include.contracts.errors import InputError, IntegrityError, NexusError
from include.contracts.storage import S3Uri
from include.object_store import (
    ConditionFailed,
    ObjectAbsent,
    ObjectStat,
    ObjectStore,
    StorageRefused,
    StorageUnavailable,
    transfers,
)
from include.object_store.verification import content_entry

Control = Callable[[str, Mapping[str, Any]], None]
Operation = Callable[[ObjectStore, str, Path], object]
WRITTEN = datetime(2026, 1, 2, tzinfo=UTC)

OPERATIONS: dict[str, Operation] = {
    "find": lambda store, uri, _: store.find(uri),
    "stat": lambda store, uri, _: store.stat(uri),
    "exists": lambda store, uri, _: store.exists(uri),
    "read": lambda store, uri, _: store.read(uri),
    "read_range": lambda store, uri, _: store.read_range(uri, 0, 1),
    "open": lambda store, uri, _: store.open(uri),
    "open_ranged": lambda store, uri, _: store.open_ranged(uri),
    "write": lambda store, uri, _: store.write(uri, b"x"),
    "create": lambda store, uri, _: store.create(uri, b"x"),
    "replace": lambda store, uri, _: store.replace(uri, b"x", "0123"),
    "upload": lambda store, uri, path: store.upload(uri, path),
    "download": lambda store, uri, path: store.download(uri, path.with_name("down")),
    "fetch": lambda store, uri, path: store.fetch(uri, content_entry(b"", "x"), path.with_name("down")),
    "local_copy": lambda store, uri, _: store.local_copy(uri).__enter__(),
    "copy": lambda store, uri, _: store.copy(uri, f"{uri}.copy"),
    "list": lambda store, uri, _: list(store.list(uri)),
    "delete": lambda store, uri, _: store.delete(uri),
    "delete_folder": lambda store, uri, _: store.delete_folder(uri),
    "begin_upload": lambda store, uri, _: store.begin_upload(uri, {}),
    "unfinished_uploads": lambda store, uri, _: store.unfinished_uploads(uri),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_missing_bucket_is_its_own_error_and_never_absent(
    environment: None, tmp_path: Path, operation: str
) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(InputError, match=r"^s3://no-such-bucket: the bucket does not exist") as caught:
        OPERATIONS[operation](ObjectStore(), "s3://no-such-bucket/key", tmp_path / "file")
    assert not isinstance(caught.value, ObjectAbsent)


@pytest.mark.parametrize("code", ["AccessDenied", "AllAccessDisabled", "UnheardOf"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_403_is_always_access_denied(
    environment: None, bucket: str, control: Control, tmp_path: Path, operation: str, code: str
) -> None:
    (tmp_path / "file").write_bytes(b"x")
    store = ObjectStore()
    store.write(f"s3://{bucket}/key", b"x")
    control("fail", {"service": "s3", "operation": "*", "calls": 1000, "status": 403, "code": code})
    with pytest.raises(InputError, match=rf"s3://{bucket}/key.*: access denied.*s3:ListBucket") as caught:
        OPERATIONS[operation](store, f"s3://{bucket}/key", tmp_path / "file")
    assert not isinstance(caught.value, ObjectAbsent)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_endpoint_that_nobody_serves_is_unavailable(tmp_path: Path, operation: str) -> None:
    (tmp_path / "file").write_bytes(b"x")
    client = boto3.client(
        "s3",
        endpoint_url="http://127.0.0.1:9",
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=boto3.session.Config(retries={"total_max_attempts": 1}),
    )
    with pytest.raises(StorageUnavailable, match="cannot be reached"):
        OPERATIONS[operation](ObjectStore(client), "s3://bucket/key", tmp_path / "file")


@pytest.mark.parametrize(
    ("code", "status", "error", "message"),
    [
        ("SlowDown", 503, StorageUnavailable, "overloaded"),
        ("InternalError", 500, StorageUnavailable, "overloaded"),
        ("ExpiredToken", 400, InputError, "credentials"),
        ("InvalidAccessKeyId", 403, InputError, "credentials"),
        ("InvalidObjectState", 403, InputError, "archived"),
        ("PermanentRedirect", 301, InputError, "another region"),
        ("NoSuchKey", 404, ObjectAbsent, "no such object"),
        ("EntityTooLarge", 400, StorageRefused, "EntityTooLarge: because"),
    ],
)
def test_each_refusal_has_its_error(
    stubbed: tuple[ObjectStore, Stubber], code: str, status: int, error: type[NexusError], message: str
) -> None:
    store, stub = stubbed
    stub.add_client_error("get_object", code, "because", status)
    with pytest.raises(error, match=message) as caught:
        store.read("s3://bucket/key")
    assert type(caught.value) is error
    assert isinstance(caught.value.__cause__, ClientError)


def test_without_credentials_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    store = ObjectStore(boto3.Session().client("s3", region_name="us-east-1"))
    with pytest.raises(InputError, match="credentials are missing"):
        store.exists("s3://bucket/key")


def test_a_passing_failure_is_not_seen(environment: None, bucket: str, control: Control) -> None:
    store = ObjectStore()
    for operation in ("PutObject", "GetObject", "ListObjectsV2"):
        control(
            "fail", {"service": "s3", "operation": operation, "calls": 2, "status": 503, "code": "SlowDown"}
        )
    store.write(f"s3://{bucket}/key", b"x")
    assert store.read(f"s3://{bucket}/key") == b"x"
    assert len(list(store.list(f"s3://{bucket}/"))) == 1


def test_an_upload_that_s3_refuses_names_the_reason(
    environment: None, bucket: str, control: Control, tmp_path: Path
) -> None:
    """boto3 hides the answer of S3 in the text of an error of its own."""
    (tmp_path / "big").write_bytes(bytes(20 << 20))
    control(
        "fail",
        {"service": "s3", "operation": "UploadPart", "calls": 99, "status": 403, "code": "AccessDenied"},
    )
    with pytest.raises(InputError, match=rf"s3://{bucket}/big: access denied"):
        ObjectStore().upload(f"s3://{bucket}/big", tmp_path / "big")
    assert ObjectStore().unfinished_uploads(f"s3://{bucket}/big") == []


def test_metadata_is_kept_replaced_and_shown(s3: Any, bucket: str) -> None:
    store, uri = ObjectStore(), f"s3://{bucket}/a"
    store.write(uri, b"x", {"source": "pile"})
    assert store.stat(uri).metadata == {"source": "pile"}
    store.copy(uri, f"{uri}.kept")
    store.copy(uri, f"{uri}.replaced", metadata={"run": "1"})
    store.copy(uri, f"{uri}.removed", metadata={})
    found = [store.stat(f"{uri}.{name}").metadata for name in ("kept", "replaced", "removed")]
    assert found == [{"source": "pile"}, {"run": "1"}, {}]


def test_a_local_file_with_metadata_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a local file has no metadata"):
        ObjectStore().write(str(tmp_path / "x"), b"", {"source": "pile"})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("write", ["write", "create", "upload", "publish"])
def test_a_page_is_stored_as_a_page(s3: Any, bucket: str, tmp_path: Path, write: str) -> None:
    store, uri = ObjectStore(), f"s3://{bucket}/report.html"
    (tmp_path / "page").write_bytes(b"<p>")
    if write == "publish":
        with store.publish(uri) as path:
            path.write_bytes(b"<p>")
    else:
        getattr(store, write)(uri, tmp_path / "page" if write == "upload" else b"<p>")
    assert s3.head_object(Bucket=bucket, Key="report.html")["ContentType"] == "text/html; charset=utf-8"


def test_an_object_over_the_limit_of_one_request_is_copied_in_parts(
    s3: Any, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfers, "LARGEST_COPY_BYTES", 5 << 20)
    monkeypatch.setattr(transfers, "_COPY_PART_BYTES", 5 << 20)
    store, source, target = ObjectStore(), f"s3://{bucket}/a.html", f"s3://{bucket}/b.html"
    content = os.urandom((12 << 20) + 3)
    etag = store.write(source, content, {"source": "pile"})
    store.copy(source, target, etag)
    assert store.read(target) == content
    assert store.stat(target).metadata == {"source": "pile"}
    assert s3.head_object(Bucket=bucket, Key="b.html")["ContentType"].startswith("text/html")
    assert store.stat(target).etag.endswith("-3")


@pytest.mark.parametrize("largest", [1 << 30, 5 << 20])
def test_a_copy_of_another_version_copies_nothing(
    s3: Any, bucket: str, monkeypatch: pytest.MonkeyPatch, largest: int
) -> None:
    monkeypatch.setattr(transfers, "LARGEST_COPY_BYTES", largest)
    store, source, target = ObjectStore(), f"s3://{bucket}/a", f"s3://{bucket}/b"
    etag = store.write(source, bytes(6 << 20))
    store.write(source, bytes(7 << 20))
    with pytest.raises(IntegrityError, match=f"{source}: the file is not the one"):
        store.copy(source, target, etag)
    assert not store.exists(target)
    assert store.unfinished_uploads(target) == []


def test_a_listing_takes_one_page_at_a_time(stubbed: tuple[ObjectStore, Stubber]) -> None:
    store, stub = stubbed
    for page in range(2):
        entry = {"Key": f"folder/{page}", "Size": page, "ETag": f'"{page}"', "LastModified": WRITTEN}
        more = {"IsTruncated": True, "NextContinuationToken": "next"} if not page else {"IsTruncated": False}
        stub.add_response("list_objects_v2", {"Contents": [entry], **more})
    listed = store.list("s3://bucket/folder")
    first = next(listed)
    assert first == ObjectStat("s3://bucket/folder/0", 0, "0", modified=WRITTEN)
    with pytest.raises(AssertionError, match="1 responses remaining"):
        stub.assert_no_pending_responses()
    assert [entry.uri for entry in listed] == ["s3://bucket/folder/1"]


def test_an_object_whose_time_an_endpoint_does_not_say_has_none(stubbed: tuple[ObjectStore, Stubber]) -> None:
    store, stubber = stubbed
    stubber.add_response("head_object", {"ContentLength": 3, "ETag": '"x"'})
    stubber.add_response("list_objects_v2", {"Contents": [{"Key": "folder/0", "Size": 3, "ETag": '"x"'}]})
    expected = ObjectStat("s3://bucket/folder/0", 3, "x")
    assert store.find("s3://bucket/folder/0") == expected
    assert list(store.list("s3://bucket/folder/")) == [expected]


def test_more_than_a_page_is_listed_and_deleted(s3: Any, bucket: str, endpoint: str) -> None:
    store = ObjectStore()
    for number in range(1003):
        store.write(f"s3://{bucket}/many/{number:04d}", b"")
    assert len(list(store.list(f"s3://{bucket}/many"))) == 1003
    assert store.delete_folder(f"s3://{bucket}/many") == 1003
    assert list(store.list(f"s3://{bucket}/")) == []


def test_folder_markers_are_deleted_and_not_listed(s3: Any, bucket: str) -> None:
    for key in ("folder/", "folder/sub/", "folder/sub/file"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"") if key.endswith("/") else None
    ObjectStore().write(f"s3://{bucket}/folder/sub/file", b"x")
    assert [e.uri for e in ObjectStore().list(f"s3://{bucket}/folder")] == [f"s3://{bucket}/folder/sub/file"]
    ObjectStore().delete_folder(f"s3://{bucket}/folder")
    assert s3.list_objects_v2(Bucket=bucket).get("KeyCount", 0) == 0


def test_an_object_that_cannot_be_deleted_is_named(stubbed: tuple[ObjectStore, Stubber]) -> None:
    store, stub = stubbed
    contents = [{"Key": f"corpus/{number}", "Size": 1, "ETag": '"e"'} for number in range(3)]
    stub.add_response("list_objects_v2", {"Contents": contents, "IsTruncated": False})
    refused = {"Key": "corpus/1", "Code": "AccessDenied", "Message": "no"}
    stub.add_response("delete_objects", {"Errors": [refused]})
    with pytest.raises(StorageRefused, match=r"s3://bucket/corpus/1: 1 of 3 objects.*AccessDenied"):
        store.delete_folder("s3://bucket/corpus/")


def test_a_creation_whose_answer_was_lost_counts_as_made(stubbed: tuple[ObjectStore, Stubber]) -> None:
    """botocore sends a request again when its answer is lost, and then meets its own object."""
    store, stub = stubbed
    for content in (b"mine", b"yours"):
        retried = {"RetryAttempts": 1, "HTTPStatusCode": 412}
        stub.add_client_error("put_object", "PreconditionFailed", "", 412, response_meta=retried)
        stub.add_response(
            "get_object", {"Body": Body(content), "ETag": '"tag"', "ContentLength": len(content)}
        )
    assert store.create("s3://bucket/lock", b"mine") == "tag"
    with pytest.raises(ConditionFailed):
        store.create("s3://bucket/lock", b"mine")


def test_a_creation_that_was_sent_once_and_refused_was_made_by_another(
    stubbed: tuple[ObjectStore, Stubber],
) -> None:
    """Even if the bytes are equal: two processes may create the same lock."""
    store, stub = stubbed
    stub.add_client_error("put_object", "PreconditionFailed", "", 412)
    with pytest.raises(ConditionFailed):
        store.create("s3://bucket/lock", b"mine")


class Body:
    def __init__(self, content: bytes) -> None:
        self._content = content

    def read(self, size: int) -> bytes:
        content, self._content = self._content[:size], self._content[size:]
        return content

    def close(self) -> None:
        pass


def test_a_creation_is_tried_again_after_a_conflict(stubbed: tuple[ObjectStore, Stubber]) -> None:
    store, stub = stubbed
    stub.add_client_error("put_object", "ConditionalRequestConflict", "", 409)
    expected = {"Bucket": "bucket", "Key": "lock", "Body": b"mine", "IfNoneMatch": "*"}
    stub.add_response("put_object", {"ETag": '"tag"'}, expected)
    assert store.create("s3://bucket/lock", b"mine") == "tag"


def test_a_signed_address_is_readable_by_anyone(environment: None, bucket: str) -> None:
    ObjectStore().write(f"s3://{bucket}/report.html", b"<p>")
    url = ObjectStore().signed_url(f"s3://{bucket}/report.html", 60)
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert (answer.read(), answer.headers["Content-Type"]) == (b"<p>", "text/html; charset=utf-8")
    with pytest.raises(InputError, match="this operation needs S3"):
        ObjectStore().signed_url("/a/path", 60)


def test_missing_buckets_are_created_once(environment: None, bucket: str) -> None:
    other = f"{bucket}-other"
    assert ObjectStore().create_buckets([other, bucket, other]) == [other]
    assert ObjectStore().create_buckets([other]) == []
    assert {bucket, other} <= set(ObjectStore().buckets())


def test_a_bucket_outside_of_us_east_1_is_created_with_its_region() -> None:
    client = boto3.client("s3", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x")
    with Stubber(client) as stub:
        stub.add_response("list_buckets", {"Buckets": []})
        placed = {"CreateBucketConfiguration": {"LocationConstraint": "eu-west-1"}}
        stub.add_response("create_bucket", {}, {"Bucket": "made", **placed})
        assert ObjectStore(client).create_buckets(["made"]) == ["made"]


def test_keys_that_a_path_would_change_stay_as_they_are(s3: Any, bucket: str) -> None:
    store = ObjectStore()
    for key in ("a//b", "a/./b", "%41~ +?#", "é"):
        store.write(S3Uri(bucket, key), key.encode())
        assert store.read(S3Uri(bucket, key)) == key.encode()
