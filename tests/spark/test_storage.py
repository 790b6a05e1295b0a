from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from include.contracts.errors import InputError
from spark_jobs import storage


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "folder/file"
    with pytest.raises(RuntimeError), storage.output_file(str(target)) as path:
        path.write_bytes(b"half")
        raise RuntimeError
    assert list(target.parent.iterdir()) == []
    storage.write_bytes(str(target), b"whole")
    assert [p.name for p in target.parent.iterdir()] == ["file"]


def test_local_files_have_the_hash_of_their_bytes_as_etag(tmp_path: Path) -> None:
    path = tmp_path / "ä b"
    path.write_bytes(b"abc")
    assert storage.stat(str(path)) == storage.stat(path.as_uri())
    assert storage.stat(str(path)).etag.startswith("ba7816bf")
    assert storage.read_range(str(path), 1, 1) == b"b"


def test_other_schemes_are_refused() -> None:
    with pytest.raises(InputError, match="unknown scheme"):
        storage.read_bytes("gs://bucket/key")


def test_a_stream_that_looks_ahead_loses_nothing() -> None:
    stream = storage.HashedStream(io.BytesIO(bytes(range(100))))
    assert stream.peek(10) == stream.peek(10) == bytes(range(10))
    assert stream.read(3) + stream.read(50) + stream.read() == bytes(range(100))
    assert stream.size_bytes == 100


def test_an_object_whose_connection_drops_is_read_on_from_where_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = bytes(range(256)) * 40
    requests: list[dict[str, Any]] = []

    class Body(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() >= 3000:
                raise ConnectionResetError
            return super().read(min(size or 0, 3000))

    class Client:
        def get_object(self, **request: Any) -> dict[str, Any]:
            requests.append(request)
            start = int(request.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
            return {"Body": Body(content[start:])}

    monkeypatch.setattr(storage, "_client", Client)
    with storage.open_stream("s3://bucket/key", "tag") as stream:
        assert stream.read() == content
    assert [request.get("Range") for request in requests] == [
        None,
        "bytes=3000-",
        "bytes=6000-",
        "bytes=9000-",
    ]
    assert {request["IfMatch"] for request in requests} == {'"tag"'}


def test_a_whole_bucket_is_never_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "_client", lambda: pytest.fail("S3 was asked"))
    for bucket in ("s3://bucket", "s3://bucket/"):
        with pytest.raises(InputError, match="a whole bucket is not deleted"):
            storage.delete_prefix(bucket)


def test_a_role_that_may_not_read_is_an_error_that_names_the_permissions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    s3 = boto3.client("s3", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    monkeypatch.setattr(storage, "_client", lambda: s3)
    with Stubber(s3) as stub:
        stub.add_client_error("head_object", "403", "Forbidden", 403)
        stub.add_client_error("get_object", "AccessDenied", "not authorized", 403)
        for read in (storage.stat, storage.read_bytes):
            with pytest.raises(InputError, match=r"s3://raw/a.jsonl: access denied.*s3:GetObject"):
                read("s3://raw/a.jsonl")
