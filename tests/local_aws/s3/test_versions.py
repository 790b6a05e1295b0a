"""Versioned buckets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def versioned(s3: Any, bucket: str) -> str:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return bucket


def put(s3: Any, bucket: str, body: bytes, key: str = "k") -> str:
    version: str = s3.put_object(Bucket=bucket, Key=key, Body=body, Metadata={"of": body.decode()})[
        "VersionId"
    ]
    return version


def read(s3: Any, bucket: str, **which: str) -> bytes:
    got = s3.get_object(Bucket=bucket, Key="k", **which)
    body: bytes = got["Body"].read()
    assert got["Metadata"] == {"of": body.decode()}
    return body


def history(s3: Any, bucket: str, **arguments: Any) -> list[tuple[str, str, bool, bool]]:
    """(key, version, is it the latest, is it a marker), newest first."""
    page = s3.list_object_versions(Bucket=bucket, **arguments)
    entries = [(e, False) for e in page.get("Versions", [])] + [
        (e, True) for e in page.get("DeleteMarkers", [])
    ]
    return [(e["Key"], e["VersionId"], e["IsLatest"], marker) for e, marker in entries]


def test_every_put_makes_a_version_that_stays_readable(s3: Any, versioned: str) -> None:
    versions = [put(s3, versioned, body) for body in (b"one", b"two", b"three")]
    assert len(set(versions)) == 3
    assert read(s3, versioned) == b"three"
    assert [read(s3, versioned, VersionId=v) for v in versions] == [b"one", b"two", b"three"]
    assert history(s3, versioned) == [
        ("k", version, version == versions[2], False) for version in reversed(versions)
    ]
    assert s3.get_bucket_versioning(Bucket=versioned)["Status"] == "Enabled"


def test_delete_puts_a_marker_and_deleting_the_marker_restores(
    s3: Any, versioned: str, fails: Any, folder: Path
) -> None:
    version = put(s3, versioned, b"one")
    deleted = s3.delete_object(Bucket=versioned, Key="k")
    assert deleted["DeleteMarker"] is True
    assert fails(s3.get_object, Bucket=versioned, Key="k") == ("NoSuchKey", 404)
    assert fails(s3.get_object, Bucket=versioned, Key="k", VersionId=deleted["VersionId"]) == (
        "MethodNotAllowed",
        405,
    )
    assert "Contents" not in s3.list_objects_v2(Bucket=versioned)
    assert list(folder.iterdir()) == []
    assert read(s3, versioned, VersionId=version) == b"one"
    assert history(s3, versioned) == [
        ("k", version, False, False),
        ("k", deleted["VersionId"], True, True),
    ]
    s3.delete_object(Bucket=versioned, Key="k", VersionId=deleted["VersionId"])
    assert read(s3, versioned) == b"one"
    assert history(s3, versioned) == [("k", version, True, False)]


def test_deleting_the_current_version_brings_back_the_one_before(s3: Any, versioned: str, fails: Any) -> None:
    first, second, third = (put(s3, versioned, body) for body in (b"one", b"two", b"three"))
    s3.delete_object(Bucket=versioned, Key="k", VersionId=second)
    assert read(s3, versioned) == b"three"
    s3.delete_object(Bucket=versioned, Key="k", VersionId=third)
    assert read(s3, versioned) == b"one"
    assert fails(s3.get_object, Bucket=versioned, Key="k", VersionId=second) == ("NoSuchVersion", 404)
    s3.delete_object(Bucket=versioned, Key="k", VersionId=first)
    assert history(s3, versioned) == []


def test_what_was_there_before_versioning_is_the_null_version(s3: Any, bucket: str, folder: Path) -> None:
    (folder / "k").write_bytes(b"by Spark")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    version = put(s3, bucket, b"new")
    assert s3.get_object(Bucket=bucket, Key="k", VersionId="null")["Body"].read() == b"by Spark"
    assert [entry[1] for entry in history(s3, bucket)] == [version, "null"]


def test_suspended_versioning_overwrites_only_the_null_version(s3: Any, versioned: str) -> None:
    kept = put(s3, versioned, b"kept")
    s3.put_bucket_versioning(Bucket=versioned, VersioningConfiguration={"Status": "Suspended"})
    assert put(s3, versioned, b"null 1") == "null"
    assert put(s3, versioned, b"null 2") == "null"
    assert [entry[1] for entry in history(s3, versioned)] == ["null", kept]
    assert read(s3, versioned) == b"null 2" and read(s3, versioned, VersionId=kept) == b"kept"
    assert s3.delete_object(Bucket=versioned, Key="k")["VersionId"] == "null"
    assert history(s3, versioned) == [("k", kept, False, False), ("k", "null", True, True)]


def test_versions_are_listed_in_pages(s3: Any, versioned: str) -> None:
    for key in ("a/1", "b", "c"):
        for body in (b"one", b"two"):
            put(s3, versioned, body, key)
    s3.delete_object(Bucket=versioned, Key="b")
    whole = history(s3, versioned)
    paginator = s3.get_paginator("list_object_versions")
    pages = list(paginator.paginate(Bucket=versioned, PaginationConfig={"PageSize": 2}))
    seen = [e["VersionId"] for p in pages for e in [*p.get("Versions", []), *p.get("DeleteMarkers", [])]]
    assert sorted(seen) == sorted(entry[1] for entry in whole) and len(seen) == 7
    assert all(len(p.get("Versions", [])) + len(p.get("DeleteMarkers", [])) <= 2 for p in pages)
    grouped = s3.list_object_versions(Bucket=versioned, Delimiter="/")
    assert [entry["Prefix"] for entry in grouped["CommonPrefixes"]] == ["a/"]


def test_tags_and_copies_reach_old_versions(s3: Any, versioned: str) -> None:
    old, new = put(s3, versioned, b"old"), put(s3, versioned, b"new")
    tagging = {"TagSet": [{"Key": "t", "Value": "1"}]}
    s3.put_object_tagging(Bucket=versioned, Key="k", VersionId=old, Tagging=tagging)
    assert s3.get_object_tagging(Bucket=versioned, Key="k", VersionId=old)["TagSet"] == tagging["TagSet"]
    assert s3.get_object_tagging(Bucket=versioned, Key="k", VersionId=new)["TagSet"] == []
    source = {"Bucket": versioned, "Key": "k", "VersionId": old}
    copied = s3.copy_object(Bucket=versioned, Key="k", CopySource=source)
    assert copied["CopySourceVersionId"] == old
    assert read(s3, versioned) == b"old"


def test_batch_delete_takes_versions_and_names_markers(s3: Any, versioned: str, fails: Any) -> None:
    version = put(s3, versioned, b"one")
    marked = s3.delete_objects(Bucket=versioned, Delete={"Objects": [{"Key": "k"}]})["Deleted"][0]
    assert marked["DeleteMarker"] is True
    assert fails(s3.delete_bucket, Bucket=versioned) == ("BucketNotEmpty", 409)
    both = [
        {"Key": "k", "VersionId": version},
        {"Key": "k", "VersionId": marked["DeleteMarkerVersionId"]},
    ]
    answer = s3.delete_objects(Bucket=versioned, Delete={"Objects": both})["Deleted"]
    assert [(e["VersionId"], e.get("DeleteMarker")) for e in answer] == [
        (version, None),
        (marked["DeleteMarkerVersionId"], True),
    ]
    s3.delete_bucket(Bucket=versioned)


def test_a_version_survives_an_overwrite_behind_the_server(s3: Any, versioned: str, folder: Path) -> None:
    first = put(s3, versioned, b"one")
    put(s3, versioned, b"two")
    (folder / "k").write_bytes(b"by Spark, in place")
    assert read(s3, versioned, VersionId=first) == b"one"
    assert s3.get_object(Bucket=versioned, Key="k")["Body"].read() == b"by Spark, in place"
