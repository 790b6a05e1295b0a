"""What S3 refuses is told readably, also where it answers 200."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from include.aws.storage import ObjectStore
from include.contracts.errors import InputError, NexusError
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


def test_denied_access_names_the_object_and_what_the_role_lacks() -> None:
    class Denying:
        def head_object(self, **_: Any) -> None:
            raise ClientError({"Error": {"Code": "403", "Message": "Forbidden"}}, "HeadObject")

    with pytest.raises(InputError, match=r"s3://bucket/corpus/: access denied.*s3:ListBucket"):
        ObjectStore(Denying()).exists(PREFIX)
