"""The tags of objects and buckets: S3's rules hold on every way on which tags come."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

BROKEN = {
    "twice": [("a", "1"), ("a", "2")],
    "long key": [("k" * 129, "v")],
    "long value": [("k", "v" * 257)],
    "reserved": [("aws:x", "1")],
}


def entries(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    return {"TagSet": [{"Key": key, "Value": value} for key, value in pairs]}


@pytest.mark.parametrize("pairs", BROKEN.values(), ids=BROKEN)
def test_tags_that_s3_refuses_are_refused_on_every_way(
    s3: Any, bucket: str, fails: Any, pairs: list[tuple[str, str]]
) -> None:
    s3.put_object(Bucket=bucket, Key="source", Body=b"x")
    key = {"Bucket": bucket, "Key": "k"}
    header, source = urlencode(pairs), f"{bucket}/source"
    assert fails(s3.put_object, **key, Body=b"x", Tagging=header) == ("InvalidTag", 400)
    assert fails(s3.create_multipart_upload, **key, Tagging=header) == ("InvalidTag", 400)
    copy = {"CopySource": source, "TaggingDirective": "REPLACE"}
    assert fails(s3.copy_object, **key, **copy, Tagging=header) == ("InvalidTag", 400)
    tagging = entries(pairs)
    assert fails(s3.put_object_tagging, Bucket=bucket, Key="source", Tagging=tagging) == ("InvalidTag", 400)
    assert fails(s3.put_bucket_tagging, Bucket=bucket, Tagging=tagging) == ("InvalidTag", 400)
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["source"]
    assert s3.get_object_tagging(Bucket=bucket, Key="source")["TagSet"] == []


def test_the_number_of_tags_is_limited(s3: Any, bucket: str, fails: Any) -> None:
    many = [(f"k{number}", "") for number in range(51)]
    key = {"Bucket": bucket, "Key": "k"}
    s3.put_object(**key, Body=b"x", Tagging=urlencode(many[:10]))
    assert fails(s3.put_object, **key, Body=b"y", Tagging=urlencode(many[:11])) == ("BadRequest", 400)
    assert fails(s3.put_object_tagging, **key, Tagging=entries(many[:11])) == ("BadRequest", 400)
    assert len(s3.get_object_tagging(**key)["TagSet"]) == 10
    s3.put_bucket_tagging(Bucket=bucket, Tagging=entries(many[:50]))
    assert fails(s3.put_bucket_tagging, Bucket=bucket, Tagging=entries(many)) == ("BadRequest", 400)
