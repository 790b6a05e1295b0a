"""Putting, reading, copying and deleting objects, and the files they are."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

AWKWARD_KEYS = [
    "plain",
    "a/b/c.txt",
    "with space + plus & amp",
    "percent%20sign%2F",
    "ünïcödé/日本語/😀",
    "trailing/",
    "double//slash",
    "/leading",
    "..",
    "../../outside",
    "a/../../../etc/passwd",
    "./here",
    ".hidden",
    ".%",
    ".%%",
    ".=tilde",
    "quote'\"<>&",
    "new\nline",
    "nul\x00byte",
    "back\\slash",
    "x" * 300,
    "é" * 500,
    "/".join(["d"] * 500),
    "?query=1#fragment",
]


def files_around(folder: Path) -> set[Path]:
    return {*folder.parent.iterdir(), *folder.parent.parent.iterdir()}


def test_an_object_is_the_file_of_its_key(s3: Any, bucket: str, folder: Path) -> None:
    s3.put_object(Bucket=bucket, Key="corpus/part-0.txt", Body=b"text")
    assert (folder / "corpus/part-0.txt").read_bytes() == b"text"
    assert [p.name for p in folder.rglob("*") if p.is_file()] == ["part-0.txt"]  # nothing Spark would list


def test_put_then_get_returns_bytes_type_and_metadata(s3: Any, bucket: str) -> None:
    put = s3.put_object(
        Bucket=bucket,
        Key="k",
        Body=b"abc",
        ContentType="text/plain",
        CacheControl="no-store",
        ContentEncoding="gzip",
        Metadata={"run": "r-1", "Step": "7"},
        Tagging="a=1&b=two%20words",
    )
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == b"abc"
    assert put["ETag"] == got["ETag"] == f'"{hashlib.md5(b"abc").hexdigest()}"'
    assert (got["ContentType"], got["CacheControl"], got["ContentEncoding"]) == (
        "text/plain",
        "no-store",
        "gzip",
    )
    assert got["Metadata"] == {"run": "r-1", "step": "7"}
    assert got["ContentLength"] == 3 and got["TagCount"] == 2
    tags = s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"]
    assert tags == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "two words"}]
    head = s3.head_object(Bucket=bucket, Key="k")
    assert (head["ETag"], head["ContentLength"], head["Metadata"]) == (put["ETag"], 3, got["Metadata"])


def test_every_awkward_key_comes_back_and_stays_inside_its_bucket(s3: Any, bucket: str, folder: Path) -> None:
    outside = files_around(folder)
    keys = [key for key in AWKWARD_KEYS if key != ".."]  # '..' is a prefix of the keys under it
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    for key in keys:
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode(), key
    listed = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert listed == sorted(keys, key=str.encode)
    assert len([p for p in folder.rglob("*") if p.is_file()]) == len(keys)
    assert files_around(folder) == outside
    for key in keys:
        s3.delete_object(Bucket=bucket, Key=key)
    assert list(folder.iterdir()) == []


def test_a_raw_path_with_dots_cannot_leave_the_bucket(http_call: Any, bucket: str, folder: Path) -> None:
    secret = folder.parent / "secret.txt"
    secret.write_text("secret")
    for path in (f"/{bucket}/../secret.txt", f"/{bucket}/%2e%2e/secret.txt", f"/{bucket}/..%2Fsecret.txt"):
        assert http_call("GET", path).status == 404, path
        assert http_call("PUT", path, b"changed").status == 200, path
        assert secret.read_text() == "secret"
        assert http_call("DELETE", path).status == 204
    assert secret.exists()
    for path in ("/../secret.txt", "/.s3/x", "/%2e%2e/etc/passwd", "/..%2f..%2fetc/passwd"):
        assert http_call("GET", path).status == 400, path


def test_a_key_that_is_no_utf8_or_too_long_is_refused(
    s3: Any, http_call: Any, bucket: str, fails: Any
) -> None:
    assert b"InvalidURI" in http_call("PUT", f"/{bucket}/%ff%fe", b"x").body
    assert fails(s3.put_object, Bucket=bucket, Key="k" * 1025, Body=b"") == ("KeyTooLongError", 400)


def test_missing_objects_and_buckets_are_named_so(s3: Any, bucket: str, fails: Any) -> None:
    assert fails(s3.get_object, Bucket=bucket, Key="none") == ("NoSuchKey", 404)
    assert fails(s3.head_object, Bucket=bucket, Key="none") == ("404", 404)
    for call in (s3.get_object, s3.put_object, s3.delete_object, s3.create_multipart_upload):
        assert fails(call, Bucket="no-such-bucket", Key="k") == ("NoSuchBucket", 404)
    assert fails(s3.list_objects_v2, Bucket="no-such-bucket") == ("NoSuchBucket", 404)
    s3.delete_object(Bucket=bucket, Key="none")


def test_empty_folders_are_invisible_and_in_nobodys_way(s3: Any, bucket: str, folder: Path) -> None:
    (folder / "_temporary/0/task").mkdir(parents=True)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    assert "CommonPrefixes" not in s3.list_objects_v2(Bucket=bucket, Delimiter="/")
    s3.put_object(Bucket=bucket, Key="_temporary", Body=b"an object now")
    assert s3.get_object(Bucket=bucket, Key="_temporary")["Body"].read() == b"an object now"


def test_a_file_that_spark_wrote_is_an_object(s3: Any, bucket: str, folder: Path) -> None:
    (folder / "out").mkdir()
    written = folder / "out/part-00000.parquet"
    written.write_bytes(b"PAR1")
    head = s3.head_object(Bucket=bucket, Key="out/part-00000.parquet")
    assert head["ContentLength"] == 4 and head["ETag"].endswith('-1"')
    assert s3.list_objects_v2(Bucket=bucket)["Contents"][0]["ETag"] == head["ETag"]
    written.write_bytes(b"PAR1 and more")
    changed = s3.get_object(Bucket=bucket, Key="out/part-00000.parquet")
    assert changed["ETag"] != head["ETag"] and changed["Body"].read() == b"PAR1 and more"


def test_overwriting_a_file_behind_the_server_drops_its_old_metadata(
    s3: Any, bucket: str, folder: Path
) -> None:
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"12345", Metadata={"of": "the first"})
    (folder / "k").write_bytes(b"54321")
    head = s3.head_object(Bucket=bucket, Key="k")
    assert head["ETag"] != put["ETag"] and head["Metadata"] == {}


def test_an_overwrite_replaces_bytes_metadata_and_tags(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"one", Metadata={"a": "1"}, Tagging="t=1")
    s3.put_object(Bucket=bucket, Key="k", Body=b"two!", Metadata={"b": "2"})
    got = s3.get_object(Bucket=bucket, Key="k")
    assert (got["Body"].read(), got["Metadata"], got.get("TagCount")) == (b"two!", {"b": "2"}, None)


def test_tags_are_replaced_and_removed(s3: Any, bucket: str, fails: Any) -> None:
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata={"m": "1"})
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": [{"Key": "stage", "Value": "é"}]})
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "stage", "Value": "é"}]
    head = s3.head_object(Bucket=bucket, Key="k")
    assert (head["ETag"], head["Metadata"]) == (put["ETag"], {"m": "1"})
    s3.delete_object_tagging(Bucket=bucket, Key="k")
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []
    many = {"TagSet": [{"Key": f"k{i}", "Value": ""} for i in range(11)]}
    assert fails(s3.put_object_tagging, Bucket=bucket, Key="k", Tagging=many) == ("BadRequest", 400)


def test_copy_keeps_metadata_or_replaces_it(s3: Any, bucket: str, fails: Any) -> None:
    put = s3.put_object(
        Bucket=bucket,
        Key="from é/a b",
        Body=b"data",
        ContentType="text/x",
        Metadata={"a": "1"},
        Tagging="t=1",
    )
    source = {"Bucket": bucket, "Key": "from é/a b"}
    copied = s3.copy_object(Bucket=bucket, Key="kept", CopySource=source)["CopyObjectResult"]
    assert copied["ETag"] == put["ETag"]
    kept = s3.get_object(Bucket=bucket, Key="kept")
    assert (kept["Body"].read(), kept["ContentType"], kept["Metadata"], kept["TagCount"]) == (
        b"data",
        "text/x",
        {"a": "1"},
        1,
    )
    s3.copy_object(
        Bucket=bucket,
        Key="replaced",
        CopySource=source,
        MetadataDirective="REPLACE",
        Metadata={"b": "2"},
        TaggingDirective="REPLACE",
    )
    replaced = s3.head_object(Bucket=bucket, Key="replaced")
    assert (replaced["Metadata"], replaced["ContentType"]) == ({"b": "2"}, "binary/octet-stream")
    assert s3.get_object_tagging(Bucket=bucket, Key="replaced")["TagSet"] == []
    onto_itself = {"Bucket": bucket, "Key": "kept", "CopySource": {"Bucket": bucket, "Key": "kept"}}
    assert fails(s3.copy_object, **onto_itself) == ("InvalidRequest", 400)
    s3.copy_object(**onto_itself, MetadataDirective="REPLACE", Metadata={"c": "3"})
    assert s3.head_object(Bucket=bucket, Key="kept")["Metadata"] == {"c": "3"}
    missing = {"Bucket": bucket, "Key": "none"}
    assert fails(s3.copy_object, Bucket=bucket, Key="x", CopySource=missing) == ("NoSuchKey", 404)
    assert fails(s3.copy_object, Bucket=bucket, Key="x", CopySource=source, CopySourceIfMatch="other") == (
        "PreconditionFailed",
        412,
    )


def test_copy_of_a_file_that_spark_wrote_has_an_md5_etag(s3: Any, bucket: str, folder: Path) -> None:
    (folder / "raw").write_bytes(b"spark" * 1000)
    copied = s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "raw"})
    assert copied["CopyObjectResult"]["ETag"] == f'"{hashlib.md5(b"spark" * 1000).hexdigest()}"'
    assert (folder / "copy").read_bytes() == b"spark" * 1000


def test_delete_objects_answers_for_each_key(s3: Any, bucket: str, fails: Any, folder: Path) -> None:
    for index in range(5):
        s3.put_object(Bucket=bucket, Key=f"d/{index}&<é>", Body=b"")
    objects = [{"Key": f"d/{index}&<é>"} for index in range(4)] + [{"Key": "missing"}]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects})
    assert [entry["Key"] for entry in answer["Deleted"]] == [entry["Key"] for entry in objects]
    assert [e["Key"] for e in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["d/4&<é>"]
    quiet = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "d/4&<é>"}], "Quiet": True})
    assert "Deleted" not in quiet and list(folder.iterdir()) == []
    too_many = {"Objects": [{"Key": str(index)} for index in range(1001)]}
    assert fails(s3.delete_objects, Bucket=bucket, Delete=too_many) == ("MalformedXML", 400)


def test_object_attributes_name_size_checksum_and_parts(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"hello", ChecksumAlgorithm="SHA256")
    wanted = ["ETag", "Checksum", "ObjectSize", "StorageClass"]
    attributes = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=wanted)
    assert attributes["ObjectSize"] == 5 and attributes["StorageClass"] == "STANDARD"
    assert attributes["ETag"] == hashlib.md5(b"hello").hexdigest()
    assert attributes["Checksum"]["ChecksumSHA256"] == "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="


def test_too_much_metadata_is_refused(s3: Any, bucket: str, fails: Any) -> None:
    metadata = {"big": "x" * 2100}
    assert fails(s3.put_object, Bucket=bucket, Key="k", Body=b"", Metadata=metadata) == (
        "MetadataTooLarge",
        400,
    )


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda s3, b: s3.get_bucket_policy(Bucket=b), "GetBucketPolicy"),
        (
            lambda s3, b: s3.put_bucket_notification_configuration(Bucket=b, NotificationConfiguration={}),
            "PutBucketNotificationConfiguration",
        ),
        (lambda s3, b: s3.get_bucket_lifecycle_configuration(Bucket=b), "GetBucketLifecycleConfiguration"),
        (lambda s3, b: s3.restore_object(Bucket=b, Key="k"), "RestoreObject"),
        (lambda s3, b: s3.get_object_acl(Bucket=b, Key="k"), "GetObjectAcl"),
    ],
)
def test_an_operation_that_is_missing_is_named(s3: Any, bucket: str, call: Any, name: str) -> None:
    from botocore.exceptions import ClientError

    with pytest.raises(ClientError, match=f"s3.{name}") as failure:
        call(s3, bucket)
    assert failure.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


@pytest.mark.parametrize("key", ["http://host/x", "a://", "://"])
def test_a_key_that_looks_like_an_address_is_a_key(s3: Any, http_call: Any, bucket: str, key: str) -> None:
    assert http_call("PUT", f"/{bucket}/{key}", b"x").status == 200  # boto3 would encode the colon
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [key]


@pytest.mark.parametrize("key", ["/x", "//x", "x//"])
def test_a_bucket_in_the_host_name_keeps_the_slashes_of_a_key(
    s3: Any, http_call: Any, bucket: str, key: str
) -> None:
    assert http_call("PUT", f"/{key}", b"x", {"Host": f"{bucket}.localhost"}).status == 200
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [key]


def test_an_object_of_more_than_5_gib_is_refused_before_it_is_read(http_call: Any, bucket: str) -> None:
    answer = http_call("PUT", f"/{bucket}/k", b"", {"x-amz-decoded-content-length": str((5 << 30) + 1)})
    assert answer.status == 400 and b"EntityTooLarge" in answer.body
