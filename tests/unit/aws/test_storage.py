"""What S3 refuses is told readably, also where it answers 200."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from include.aws.storage import ObjectStore
from include.contracts.errors import InputError, NexusError
from include.contracts.job_errors import JobError
from include.contracts.manifests import ParentRef
from include.contracts.records import canonical_json, content_hash
from include.contracts.storage import S3Uri


class _Pages:
    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        keys = [f"corpus/{number}" for number in range(3)]
        return [{"Contents": [{"Key": key, "Size": 1, "ETag": '"e"'} for key in keys]}]


class _S3:
    def __init__(self, errors: list[dict[str, str]]) -> None:
        self._errors = errors

    def get_paginator(self, _: str) -> _Pages:
        return _Pages()

    def delete_objects(self, **_: Any) -> dict[str, Any]:
        return {"Errors": self._errors} if self._errors else {}


PREFIX = S3Uri.parse("s3://bucket/corpus/")


def test_a_prefix_that_is_deleted_whole_is_counted() -> None:
    assert ObjectStore(_S3([])).delete(PREFIX) == 3


def test_an_object_that_stays_is_an_error_that_names_it() -> None:
    errors = [{"Key": "corpus/1", "Code": "AccessDenied", "Message": "no"}]
    with pytest.raises(NexusError, match=r"s3://bucket/corpus/1: 1 of 3 objects.*AccessDenied"):
        ObjectStore(_S3(errors)).delete(PREFIX)


@pytest.mark.parametrize("bucket", ["s3://bucket", "s3://bucket/"])
def test_a_whole_bucket_is_never_deleted(bucket: str) -> None:
    with pytest.raises(InputError, match="a whole bucket is not deleted"):
        ObjectStore(object()).delete(S3Uri.parse(bucket))  # S3 is not asked


def test_one_object_is_deleted_without_a_look_at_what_else_begins_so() -> None:
    asked: list[dict[str, str]] = []
    s3 = SimpleNamespace(delete_object=lambda **place: asked.append(place))
    ObjectStore(s3).delete_object(PREFIX / "manifest.json")
    assert asked == [{"Bucket": "bucket", "Key": "corpus/manifest.json"}]


def test_a_record_and_its_reference_are_of_the_same_bytes() -> None:
    """A second read might meet other bytes: those of a corpus that is built anew."""
    record = JobError("KeyError", "text")

    class Replaced:
        contents = iter([canonical_json(record), b"{}"])

        def get_object(self, **_: str) -> dict[str, Any]:
            return {"Body": io.BytesIO(next(self.contents))}

    uri = PREFIX / "manifest.json"
    found = ObjectStore(Replaced()).referenced_record(JobError, uri)
    assert found == (record, ParentRef(str(uri), content_hash(canonical_json(record))))


def test_denied_access_names_the_object_and_what_the_role_lacks() -> None:
    class Denying:
        def head_object(self, **_: Any) -> None:
            raise ClientError({"Error": {"Code": "403", "Message": "Forbidden"}}, "HeadObject")

    with pytest.raises(InputError, match=r"s3://bucket/corpus/: access denied.*s3:ListBucket"):
        ObjectStore(Denying()).exists(PREFIX)
