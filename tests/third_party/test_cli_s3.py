"""``aws s3`` and ``aws s3api``, as the AWS CLI has them."""

from __future__ import annotations

import hashlib
import os
import time
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.third_party.conftest import Done, Endpoint

Aws = Callable[..., Done]


@pytest.fixture
def bucket(aws: Aws) -> str:
    name = f"cli-{uuid.uuid4().hex[:8]}"
    aws("s3", "mb", f"s3://{name}")
    return name


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with small files, a large one, and a name that needs escaping."""
    folder = tmp_path / "tree"
    for name, size in {"a.txt": 10, "sub/b.bin": 70_000, "sub/ü & +.txt": 5, "large.bin": 20 << 20}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(size))
        # S3 tells whole seconds, so a file of this second would look newer than its object
        os.utime(path, (time.time() - 60, time.time() - 60))
    return folder


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_sync_brings_a_tree_there_and_back(
    aws: Aws, bucket: str, tree: Path, tmp_path: Path, endpoint: Endpoint
) -> None:
    aws("s3", "sync", tree, f"s3://{bucket}/tree")
    assert digests(endpoint.root / bucket / "tree") == digests(tree)
    assert aws("s3", "sync", tree, f"s3://{bucket}/tree").out == ""  # nothing has changed
    aws("s3", "sync", f"s3://{bucket}/tree", tmp_path / "back")
    assert digests(tmp_path / "back") == digests(tree)
    (tree / "a.txt").unlink()
    assert "delete: s3://" in aws("s3", "sync", tree, f"s3://{bucket}/tree", "--delete").out
    listed = aws("s3", "ls", f"s3://{bucket}/", "--recursive", "--summarize").out
    assert "tree/sub/b.bin" in listed and "tree/a.txt" not in listed and "Total Objects: 3" in listed


def test_objects_are_copied_moved_streamed_and_removed(aws: Aws, bucket: str, tree: Path) -> None:
    aws("s3", "cp", tree / "large.bin", f"s3://{bucket}/large.bin", "--metadata", "a=1")
    aws("s3", "cp", f"s3://{bucket}/large.bin", f"s3://{bucket}/copy.bin")
    aws("s3", "mv", f"s3://{bucket}/copy.bin", f"s3://{bucket}/moved.bin")
    listed = aws("s3", "ls", f"s3://{bucket}").out
    assert "moved.bin" in listed and "copy.bin" not in listed
    aws("s3", "cp", tree / "a.txt", f"s3://{bucket}/note.txt", "--content-type", "text/plain")
    head = aws("s3api", "head-object", "--bucket", bucket, "--key", "note.txt").document
    assert (head["ContentType"], head["ContentLength"]) == ("text/plain", 10)
    aws("s3", "rm", f"s3://{bucket}", "--recursive", "--exclude", "note*")
    assert aws("s3", "ls", f"s3://{bucket}").out.split()[-1] == "note.txt"
    aws("s3", "rb", f"s3://{bucket}", "--force")
    assert "NoSuchBucket" in aws("s3", "ls", f"s3://{bucket}", fails=True).error


def test_a_presigned_address_gives_the_object(aws: Aws, bucket: str, tree: Path) -> None:
    aws("s3", "cp", tree / "a.txt", f"s3://{bucket}/a.txt")
    url = aws("s3", "presign", f"s3://{bucket}/a.txt").out.strip()
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == (tree / "a.txt").read_bytes()


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
def test_checksums_are_kept(aws: Aws, bucket: str, tree: Path, tmp_path: Path, algorithm: str) -> None:
    place = ("--bucket", bucket, "--key", "k")
    put = aws("s3api", "put-object", *place, "--body", tree / "sub/b.bin", "--checksum-algorithm", algorithm)
    name = f"Checksum{algorithm}"
    got = aws("s3api", "get-object", *place, "--checksum-mode", "ENABLED", tmp_path / "got").document
    assert got[name] == put.document[name]
    aws("s3", "cp", tree / "large.bin", f"s3://{bucket}/large", "--checksum-algorithm", algorithm)
    wanted = ("--object-attributes", "Checksum", "ObjectParts", "ObjectSize")
    found = aws("s3api", "get-object-attributes", "--bucket", bucket, "--key", "large", *wanted).document
    assert found["ObjectSize"] == 20 << 20 and name in found["Checksum"]


def test_a_multipart_upload_step_by_step_with_a_checksum_of_the_whole(
    aws: Aws, bucket: str, tree: Path
) -> None:
    place = ("--bucket", bucket, "--key", "whole")
    kind = ("--checksum-algorithm", "CRC32", "--checksum-type", "FULL_OBJECT")
    upload = aws("s3api", "create-multipart-upload", *place, *kind).document["UploadId"]
    body, number = ("--body", tree / "large.bin"), ("--part-number", "1")
    part = aws("s3api", "upload-part", *place, "--upload-id", upload, *number, *body).document
    listed = aws("s3api", "list-parts", *place, "--upload-id", upload).document
    assert [entry["Size"] for entry in listed["Parts"]] == [20 << 20]
    parts = f"Parts=[{{ETag={part['ETag']},PartNumber=1}}]"
    done = aws(
        *("s3api", "complete-multipart-upload", *place, "--upload-id", upload, "--multipart-upload", parts),
        *("--checksum-crc32", part["ChecksumCRC32"], "--checksum-type", "FULL_OBJECT"),
    )
    assert done.document["ChecksumCRC32"] == part["ChecksumCRC32"]


def test_ranges_tags_versions_and_pages(aws: Aws, bucket: str, tree: Path, tmp_path: Path) -> None:
    place = ("--bucket", bucket, "--key", "k")
    aws("s3api", "put-bucket-versioning", "--bucket", bucket, "--versioning-configuration", "Status=Enabled")
    for _ in range(2):
        aws("s3api", "put-object", *place, "--body", tree / "a.txt", "--tagging", "team=llm")
    got = aws("s3api", "get-object", *place, "--range", "bytes=2-4", tmp_path / "got").document
    assert got["ContentRange"] == "bytes 2-4/10" and (tmp_path / "got").stat().st_size == 3
    assert aws("s3api", "get-object-tagging", *place).document["TagSet"] == [{"Key": "team", "Value": "llm"}]
    versions = aws("s3api", "list-object-versions", "--bucket", bucket).document["Versions"]
    assert [version["IsLatest"] for version in versions] == [True, False]
    for number in range(5):
        aws("s3api", "put-object", "--bucket", bucket, "--key", f"page/{number}")
    pages = ("--bucket", bucket, "--prefix", "page/", "--page-size", "2")
    listed = aws("s3api", "list-objects-v2", *pages).document["Contents"]
    assert [entry["Key"] for entry in listed] == [f"page/{number}" for number in range(5)]


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--storage-class", "GLACIER"), "GLACIER"),
        (("--sse", "aws:kms"), "KMS"),
        (("--sse-c", "AES256", "--sse-c-key", "0" * 32), "SSE-C"),
        (("--acl", "public-read"), "AccessControlListNotSupported"),
    ],
)
def test_what_the_local_s3_cannot_keep_is_said_in_one_line(
    aws: Aws, bucket: str, tree: Path, options: Any, word: str
) -> None:
    done = aws("s3", "cp", tree / "a.txt", f"s3://{bucket}/a.txt", *options, fails=True)
    assert word in done.error and "Traceback" not in done.error
    assert len(done.error.strip().splitlines()) == 1
    assert aws("s3api", "list-objects-v2", "--bucket", bucket).out.find("a.txt") == -1
