"""Buckets."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import boto3
import pytest


def test_buckets_are_created_listed_and_removed(s3: Any, shared_local_aws: Any, fails: Any) -> None:
    names = sorted(f"bucket-{uuid.uuid4().hex[:8]}" for _ in range(3))
    for name in names:
        s3.create_bucket(Bucket=name)
    s3.create_bucket(Bucket=names[0])  # us-east-1 answers 200 to the owner
    listed = [entry["Name"] for entry in s3.list_buckets(Prefix="bucket-")["Buckets"]]
    assert [name for name in listed if name in names] == names
    assert (shared_local_aws.root / names[0]).is_dir()
    assert s3.head_bucket(Bucket=names[0])["BucketRegion"] == "us-east-1"
    # botocore itself answers None for us-east-1, against its model: a client that nobody watches
    plain = boto3.client("s3", endpoint_url=shared_local_aws.endpoint, region_name="us-east-1")
    assert plain.get_bucket_location(Bucket=names[0])["LocationConstraint"] is None
    for name in names:
        s3.delete_bucket(Bucket=name)
    assert fails(s3.head_bucket, Bucket=names[0]) == ("404", 404)
    assert fails(s3.delete_bucket, Bucket=names[0]) == ("NoSuchBucket", 404)
    assert not (shared_local_aws.root / names[0]).exists()


def test_bucket_pages_follow_each_other(s3: Any) -> None:
    prefix = f"page-{uuid.uuid4().hex[:6]}"
    for index in range(5):
        s3.create_bucket(Bucket=f"{prefix}-{index}")
    paginator = s3.get_paginator("list_buckets")
    pages = list(paginator.paginate(Prefix=prefix, PaginationConfig={"PageSize": 2}))
    assert [len(page["Buckets"]) for page in pages] == [2, 2, 1]


@pytest.mark.parametrize("name", ["Ab", "UPPER", "a", "x_y_z", "-abc", "a..b", "x" * 64])
def test_a_bucket_name_that_aws_refuses_is_refused(http_call: Any, name: str) -> None:
    answer = http_call("PUT", f"/{name}")
    assert (answer.status, b"InvalidBucketName" in answer.body) == (400, True)


def test_only_an_empty_bucket_can_be_deleted(s3: Any, bucket: str, fails: Any, folder: Path) -> None:
    s3.put_object(Bucket=bucket, Key="a/b", Body=b"")
    assert fails(s3.delete_bucket, Bucket=bucket) == ("BucketNotEmpty", 409)
    assert s3.get_object(Bucket=bucket, Key="a/b")["Body"].read() == b""
    s3.delete_object(Bucket=bucket, Key="a/b")
    (folder / "empty/folders").mkdir(parents=True)
    s3.delete_bucket(Bucket=bucket)


def test_a_bucket_made_again_starts_empty_and_unversioned(s3: Any, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.create_multipart_upload(Bucket=bucket, Key="k")
    s3.delete_bucket(Bucket=bucket)
    s3.create_bucket(Bucket=bucket)
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_bucket_tags_are_kept(s3: Any, bucket: str, fails: Any) -> None:
    assert fails(s3.get_bucket_tagging, Bucket=bucket) == ("NoSuchTagSet", 404)
    tags = [{"Key": "project", "Value": "nexus"}]
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == tags
    s3.delete_bucket_tagging(Bucket=bucket)
    assert fails(s3.get_bucket_tagging, Bucket=bucket) == ("NoSuchTagSet", 404)


def test_folders_of_the_root_that_are_no_buckets_are_not_shown(s3: Any, shared_local_aws: Any) -> None:
    (shared_local_aws.root / "just-a-folder").mkdir(exist_ok=True)
    assert "just-a-folder" not in [entry["Name"] for entry in s3.list_buckets()["Buckets"]]


def test_a_bucket_in_the_host_name_is_understood(http_call: Any, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a/b", Body=b"virtual")
    assert http_call("GET", "/a/b", headers={"Host": f"{bucket}.localhost:1234"}).body == b"virtual"
    assert http_call("GET", "/a/b", headers={"Host": f"{bucket}.s3.localhost"}).body == b"virtual"


@pytest.mark.parametrize("name", ["192.168.5.4", "xn--b", "sthree-b", "b-s3alias", "b--ol-s3"])
def test_names_that_aws_reserves_are_refused(s3: Any, fails: Any, name: str) -> None:
    assert fails(s3.create_bucket, Bucket=name) == ("InvalidBucketName", 400)


def test_creating_a_bucket_again_succeeds_only_in_us_east_1(s3: Any, bucket: str, fails: Any) -> None:
    s3.create_bucket(Bucket=bucket)
    other = {"CreateBucketConfiguration": {"LocationConstraint": "eu-west-1"}}
    assert fails(s3.create_bucket, Bucket=bucket, **other) == ("BucketAlreadyOwnedByYou", 409)
    assert s3.get_bucket_location(Bucket=bucket).get("LocationConstraint") is None
