"""kill -9, clients that leave, full disks: an object is there whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.local_aws.conftest import LocalAws
from tests.support.waiting import wait_until

MEBI = 1 << 20
AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
)


def begin_put(port: int, path: str, announced: int, sent: bytes) -> socket.socket:
    """Begin a PUT that stops in the middle of its body."""
    connection = socket.create_connection(("127.0.0.1", port))
    head = (
        f"PUT {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {AUTHORIZATION}\r\n"
        f"Content-Length: {announced}\r\n\r\n"
    )
    connection.sendall(head.encode() + sent)
    return connection


def temporary_files(root: Path) -> list[Path]:
    return list((root / ".s3" / ".tmp").iterdir())


def test_objects_metadata_and_uploads_survive_kill_9(local_aws_server: LocalAws) -> None:
    s3 = local_aws_server.client("s3")
    s3.create_bucket(Bucket="durable")
    s3.put_bucket_versioning(Bucket="durable", VersioningConfiguration={"Status": "Enabled"})
    old = s3.put_object(Bucket="durable", Key="k", Body=b"old")["VersionId"]
    put = s3.put_object(Bucket="durable", Key="k", Body=b"new", Metadata={"a": "1"}, Tagging="t=1")
    created = s3.create_multipart_upload(Bucket="durable", Key="big")
    upload = {"Bucket": "durable", "Key": "big", "UploadId": created["UploadId"]}
    body = os.urandom(5 * MEBI)
    first = s3.upload_part(**upload, PartNumber=1, Body=body)["ETag"]
    local_aws_server.kill()
    local_aws_server.start()
    got = s3.get_object(Bucket="durable", Key="k")
    assert (got["Body"].read(), got["ETag"], got["Metadata"]) == (b"new", put["ETag"], {"a": "1"})
    assert s3.get_object(Bucket="durable", Key="k", VersionId=old)["Body"].read() == b"old"
    assert [part["ETag"] for part in s3.list_parts(**upload)["Parts"]] == [first]
    second = s3.upload_part(**upload, PartNumber=2, Body=b"tail")["ETag"]
    parts = [{"PartNumber": 1, "ETag": first}, {"PartNumber": 2, "ETag": second}]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert s3.get_object(Bucket="durable", Key="big")["Body"].read() == body + b"tail"


def test_kill_9_under_load_never_tears_an_object(local_aws_server: LocalAws) -> None:
    client = local_aws_server.client("s3")
    client.create_bucket(Bucket="load")
    acknowledged: dict[str, int] = {}
    tried: dict[str, int] = {}

    def content(key: str, turn: int) -> bytes:
        return f"{key} {turn} ".encode() * (5_000 + 997 * (turn % 7))

    def write(worker: int) -> None:
        s3 = local_aws_server.client("s3")
        for turn in range(10_000):
            key = f"w{worker}/k{turn % 3}"
            tried[key] = turn
            try:
                s3.put_object(Bucket="load", Key=key, Body=content(key, turn), Metadata={"turn": str(turn)})
            except (BotoCoreError, ClientError):
                return
            acknowledged[key] = turn

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(3)]
    for thread in threads:
        thread.start()
    wait_until(lambda: min(acknowledged.values(), default=0) >= 12 and len(acknowledged) == 9)
    local_aws_server.kill()
    for thread in threads:
        thread.join()
    local_aws_server.start()
    assert temporary_files(local_aws_server.root) == []
    for key, turn in acknowledged.items():
        got = client.get_object(Bucket="load", Key=key)
        stored = int(got["Metadata"]["turn"])
        assert turn <= stored <= tried[key], key
        body = got["Body"].read()
        assert body == content(key, stored)
        assert got["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'


def test_kill_9_in_the_middle_of_a_put_keeps_the_old_object(local_aws_server: LocalAws) -> None:
    s3 = local_aws_server.client("s3")
    s3.create_bucket(Bucket="torn")
    s3.put_object(Bucket="torn", Key="k", Body=b"old")
    connection = begin_put(local_aws_server.port, "/torn/k", 8 * MEBI, os.urandom(3 * MEBI))
    wait_until(lambda: any(p.stat().st_size >= 2 * MEBI for p in temporary_files(local_aws_server.root)))
    assert s3.get_object(Bucket="torn", Key="k")["Body"].read() == b"old"
    local_aws_server.kill()
    connection.close()
    local_aws_server.start()
    assert s3.get_object(Bucket="torn", Key="k")["Body"].read() == b"old"
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket="torn")["Contents"]] == ["k"]
    assert temporary_files(local_aws_server.root) == []


def test_a_client_that_leaves_in_the_middle_stores_nothing(local_aws_server: LocalAws) -> None:
    s3 = local_aws_server.client("s3")
    s3.create_bucket(Bucket="left")
    connection = begin_put(local_aws_server.port, "/left/k", 8 * MEBI, os.urandom(3 * MEBI))
    wait_until(lambda: len(temporary_files(local_aws_server.root)) == 1)
    connection.close()
    wait_until(lambda: temporary_files(local_aws_server.root) == [])
    assert "Contents" not in s3.list_objects_v2(Bucket="left")


def test_with_fsync_everything_still_works(tmp_path: Path) -> None:
    server = LocalAws(tmp_path / "aws", "--fsync")
    server.start()
    try:
        s3 = server.client("s3")
        s3.create_bucket(Bucket="safe")
        s3.put_object(Bucket="safe", Key="a/b", Body=b"x" * 100_000)
        upload = s3.create_multipart_upload(Bucket="safe", Key="m")["UploadId"]
        place = {"Bucket": "safe", "Key": "m", "UploadId": upload}
        etag = s3.upload_part(**place, PartNumber=1, Body=b"part")["ETag"]
        s3.complete_multipart_upload(**place, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
        assert s3.get_object(Bucket="safe", Key="m")["Body"].read() == b"part"
    finally:
        server.end()


@pytest.fixture(params=["small disk", "limited file size"])
def full(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LocalAws]:
    """A server that has room for some 24 MiB: on a disk of its own where namespaces are allowed."""
    root = tmp_path / "aws"
    root.mkdir()
    if request.param == "small disk":
        mount = f'mount -t tmpfs -o size=24m tmpfs "{root}" && exec "$@"'
        wrapper = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh"]
        if subprocess.run([*wrapper, "true"], capture_output=True, check=False).returncode:
            pytest.skip("no user namespaces here: the limit on a file's size stands in")
    else:
        if not shutil.which("prlimit"):
            pytest.skip("no prlimit here")
        wrapper = ["prlimit", f"--fsize={20 * MEBI}"]
    server = LocalAws(root, wrapper=wrapper)
    server.start()
    yield server
    server.end()


def test_a_full_disk_is_said_and_leaves_no_partial_object(full: LocalAws, fails: Any) -> None:
    s3 = full.client("s3", retries={"mode": "standard", "total_max_attempts": 3})
    s3.create_bucket(Bucket="full")
    s3.put_object(Bucket="full", Key="kept", Body=b"small")
    body = os.urandom(32 * MEBI)
    assert fails(s3.put_object, Bucket="full", Key="kept", Body=body) == ("InsufficientStorage", 507)
    assert fails(s3.put_object, Bucket="full", Key="new", Body=body) == ("InsufficientStorage", 507)
    assert s3.get_object(Bucket="full", Key="kept")["Body"].read() == b"small"
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket="full")["Contents"]] == ["kept"]
    upload = s3.create_multipart_upload(Bucket="full", Key="m")["UploadId"]
    place = {"Bucket": "full", "Key": "m", "UploadId": upload}
    assert fails(s3.upload_part, **place, PartNumber=1, Body=body) == ("InsufficientStorage", 507)
    # two parts fit and their sum does not: completing fails, and the parts are still there
    parts = [
        {"PartNumber": n, "ETag": s3.upload_part(**place, PartNumber=n, Body=body[: 10 * MEBI + n])["ETag"]}
        for n in (1, 2)
    ]
    refused = fails(s3.complete_multipart_upload, **place, MultipartUpload={"Parts": parts})
    assert refused == ("InsufficientStorage", 507)
    assert len(s3.list_parts(**place)["Parts"]) == 2
    s3.abort_multipart_upload(**place)
    s3.put_object(Bucket="full", Key="again", Body=body[: 10 * MEBI])
    assert s3.get_object(Bucket="full", Key="again")["Body"].read() == body[: 10 * MEBI]
