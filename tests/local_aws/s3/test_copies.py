"""CopyObject: what comes from the source, and what comes from the request."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def source(s3: Any, bucket: str) -> str:
    """An object with everything that a copy could take from it."""
    s3.put_object(
        Bucket=bucket,
        Key="source",
        Body=b"x",
        StorageClass="STANDARD_IA",
        WebsiteRedirectLocation="/elsewhere",
        ServerSideEncryption="AES256",
        CacheControl="no-store",
        Metadata={"m": "1"},
    )
    return f"{bucket}/source"


def test_a_copy_has_the_class_and_redirect_of_its_own_request(s3: Any, bucket: str, source: str) -> None:
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=source)
    copy = s3.head_object(Bucket=bucket, Key="copy")
    assert (copy["CacheControl"], copy["Metadata"]) == ("no-store", {"m": "1"})
    assert not {"StorageClass", "WebsiteRedirectLocation"} & copy.keys()
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=source, StorageClass="GLACIER_IR")
    assert s3.head_object(Bucket=bucket, Key="copy")["StorageClass"] == "GLACIER_IR"


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({"StorageClass": "STANDARD"}, {"StorageClass": None, "CacheControl": "no-store"}),
        ({"ServerSideEncryption": "AES256"}, {"ServerSideEncryption": "AES256"}),
        ({"WebsiteRedirectLocation": "/new"}, {"WebsiteRedirectLocation": "/new"}),
    ],
)
def test_an_object_is_copied_to_itself_to_change_one_attribute(
    s3: Any, bucket: str, source: str, change: dict[str, str], shown: dict[str, Any]
) -> None:
    s3.copy_object(Bucket=bucket, Key="source", CopySource=source, **change)
    found = s3.head_object(Bucket=bucket, Key="source")
    assert {name: found.get(name) for name in shown} == shown


@pytest.mark.parametrize("directive", ["MetadataDirective", "TaggingDirective"])
def test_an_unknown_directive_is_refused(
    s3: Any, bucket: str, source: str, fails: Any, directive: str
) -> None:
    copy = {"Bucket": bucket, "Key": "copy", "CopySource": source, directive: "MERGE"}
    assert fails(s3.copy_object, **copy) == ("InvalidArgument", 400)
    assert fails(s3.head_object, Bucket=bucket, Key="copy") == ("404", 404)
