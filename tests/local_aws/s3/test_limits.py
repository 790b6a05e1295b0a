"""The limits that S3 documents: a request exactly at a limit is served."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize(("asked", "shown"), [(None, 1000), (1000, 1000), (1001, 1000), (999, 999)])
def test_a_listing_shows_up_to_a_thousand_entries(
    s3: Any, bucket: str, asked: int | None, shown: int
) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="u")["UploadId"]
    for listing, member, more in (
        (s3.list_objects_v2, "MaxKeys", {}),
        (s3.list_objects, "MaxKeys", {}),
        (s3.list_object_versions, "MaxKeys", {}),
        (s3.list_multipart_uploads, "MaxUploads", {}),
        (s3.list_parts, "MaxParts", {"Key": "u", "UploadId": upload}),
    ):
        limit = {} if asked is None else {member: asked}
        assert listing(Bucket=bucket, **more, **limit)[member] == shown, listing.__name__


def test_a_thousand_keys_are_deleted_at_once(s3: Any, bucket: str) -> None:
    keys = [{"Key": str(number)} for number in range(1000)]
    assert len(s3.delete_objects(Bucket=bucket, Delete={"Objects": keys})["Deleted"]) == 1000


def test_the_longest_tag_is_kept(s3: Any, bucket: str) -> None:
    tag = {"Key": "k" * 128, "Value": "v" * 256}
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [tag]})
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == [tag]
