"""An upload that one process began is continued, listed and ended by another."""

from __future__ import annotations

from typing import Any

import pytest

from include.contracts.errors import InputError
from include.object_store import ObjectStore, UploadAbsent
from include.object_store.multipart import Part

PART = bytes(5 << 20)


@pytest.fixture
def uri(environment: None, bucket: str) -> str:
    return f"s3://{bucket}/folder/object"


def test_another_process_continues_an_upload(uri: str) -> None:
    begun = ObjectStore().begin_upload(uri, {"source": "pile"})
    for number in (2, 1):
        begun.send(number, PART)
    store = ObjectStore()
    continued = store.resume_upload(uri, begun.upload_id)
    parts = continued.parts()
    assert [(part.number, part.size_bytes) for part in parts] == [(1, len(PART)), (2, len(PART))]
    assert not store.exists(uri)
    continued.complete([*parts, continued.send(3, b"end")])
    assert store.read(uri) == PART + PART + b"end"
    assert store.stat(uri).metadata == {"source": "pile"}


def test_unfinished_uploads_of_a_key_are_found_and_those_of_others_are_not(uri: str) -> None:
    store = ObjectStore()
    mine = {store.begin_upload(uri, {}).upload_id for _ in range(2)}
    store.begin_upload(f"{uri}.longer", {})
    found = store.unfinished_uploads(uri)
    assert {upload.upload_id for upload in found} == mine
    for upload in found:
        upload.abort()
    assert store.unfinished_uploads(uri) == []


def test_an_upload_that_is_over_is_absent(uri: str) -> None:
    upload = ObjectStore().begin_upload(uri, {})
    upload.send(1, b"x")
    upload.abort()
    upload.abort()
    for use in (upload.parts, lambda: upload.send(2, b"y"), lambda: upload.complete([Part(1, 1, "e")])):
        with pytest.raises(UploadAbsent, match=uri):
            use()


def test_more_parts_than_a_page_are_listed(uri: str, s3: Any) -> None:
    upload = ObjectStore().begin_upload(uri, {})
    for number in range(1, 1003):
        upload.send(number, b"x")
    assert [part.number for part in upload.parts()] == list(range(1, 1003))


def test_a_path_has_no_uploads() -> None:
    with pytest.raises(InputError, match="this operation needs S3"):
        ObjectStore().begin_upload("/a/path", {})
