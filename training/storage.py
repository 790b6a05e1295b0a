"""Folders of files, in S3 or on this machine: the one place where the training jobs talk to storage.

``s3://bucket/prefix/`` and plain paths both become a ``Folder``; names inside are relative, with '/'.
The endpoint, region and credentials come from the environment, as boto3 reads them.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from include.contracts.errors import InputError, IntegrityError
from include.contracts.manifests import FileEntry
from include.contracts.storage import S3Uri

if TYPE_CHECKING:
    from botocore.client import BaseClient

_CHUNK = 4 * 2**20


class Folder(Protocol):
    """Files under one prefix. A missing file is an InputError that names it."""

    def uri(self, name: str = "") -> str:
        """The full address of ``name``."""

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """Names (relative to the folder) and sizes in bytes of the files that start with ``prefix``."""

    def exists(self, name: str) -> bool:
        """Whether the file is there."""

    def read(self, name: str) -> bytes:
        """The whole file."""

    def write(self, name: str, content: bytes) -> None:
        """Write or replace a file; a reader sees the old content or the new, never a part."""

    def upload(self, name: str, path: Path) -> None:
        """Copy a file of this machine into the folder."""

    def download(self, name: str, path: Path) -> None:
        """Copy a file to this machine, making its folder."""

    def delete(self, name: str) -> None:
        """Remove a file; one that is not there is no error."""


class LocalFolder:
    """A folder of this machine."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def uri(self, name: str = "") -> str:
        return f"{self._root}/{name}"

    def sizes(self, prefix: str = "") -> dict[str, int]:
        found = (path for path in self._root.rglob("*") if path.is_file())
        named = {path.relative_to(self._root).as_posix(): path.stat().st_size for path in found}
        return {name: size for name, size in sorted(named.items()) if name.startswith(prefix)}

    def exists(self, name: str) -> bool:
        return (self._root / name).is_file()

    def read(self, name: str) -> bytes:
        try:
            return (self._root / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise _missing(self.uri(name)) from error

    def write(self, name: str, content: bytes) -> None:
        target = self._root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
        partial.write_bytes(content)
        partial.replace(target)

    def upload(self, name: str, path: Path) -> None:
        target = self._root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)

    def download(self, name: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(self._root / name, path)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise _missing(self.uri(name)) from error

    def delete(self, name: str) -> None:
        (self._root / name).unlink(missing_ok=True)


class S3Folder:
    """A prefix of a bucket."""

    def __init__(self, root: S3Uri) -> None:
        self._bucket = root.bucket
        self._prefix = root.key if root.key.endswith("/") or not root.key else f"{root.key}/"

    def uri(self, name: str = "") -> str:
        return f"s3://{self._bucket}/{self._prefix}{name}"

    def sizes(self, prefix: str = "") -> dict[str, int]:
        pages = _client().get_paginator("list_objects_v2")
        found: dict[str, int] = {}
        with self._readable_errors(prefix):
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix):
                for item in page.get("Contents", []):
                    found[item["Key"].removeprefix(self._prefix)] = item["Size"]
        return found

    def exists(self, name: str) -> bool:
        try:
            with self._readable_errors(name):
                _client().head_object(Bucket=self._bucket, Key=self._prefix + name)
        except InputError:
            return False
        return True

    def read(self, name: str) -> bytes:
        with self._readable_errors(name):
            response = _client().get_object(Bucket=self._bucket, Key=self._prefix + name)
            content: bytes = response["Body"].read()
        return content

    def write(self, name: str, content: bytes) -> None:
        with self._readable_errors(name):
            _client().put_object(Bucket=self._bucket, Key=self._prefix + name, Body=content)

    def upload(self, name: str, path: Path) -> None:
        with self._readable_errors(name):
            _client().upload_file(str(path), self._bucket, self._prefix + name)

    def download(self, name: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._readable_errors(name):
            _client().download_file(self._bucket, self._prefix + name, str(path))

    def delete(self, name: str) -> None:
        with self._readable_errors(name):
            _client().delete_object(Bucket=self._bucket, Key=self._prefix + name)

    @contextlib.contextmanager
    def _readable_errors(self, name: str) -> Iterator[None]:
        """What is not there is an InputError; anything else (access, throttling, network) stays as it is."""
        from boto3.exceptions import S3UploadFailedError
        from botocore.exceptions import ClientError

        try:
            yield
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code")
            if code == "NoSuchBucket":
                raise self._no_bucket() from error
            if code in ("404", "NoSuchKey", "NotFound"):
                raise _missing(self.uri(name)) from error
            raise
        except S3UploadFailedError as error:  # hides the ClientError in its text
            raise self._no_bucket() if "NoSuchBucket" in str(error) else error from error

    def _no_bucket(self) -> InputError:
        return InputError("the bucket does not exist", where=f"s3://{self._bucket}", remedy="create it first")


def open_folder(uri: str) -> Folder:
    """The folder at an ``s3://`` URI or a path."""
    return S3Folder(S3Uri.parse(uri)) if uri.startswith("s3://") else LocalFolder(Path(uri))


def split_uri(uri: str) -> tuple[Folder, str]:
    """The folder of a file, and the file's name in it."""
    parent, _, name = uri.rpartition("/")
    if not name:
        raise InputError("names a folder, not a file", where=repr(uri))
    return open_folder(parent or "."), name


def read_uri(uri: str) -> bytes:
    """The content of one file by its full address."""
    folder, name = split_uri(uri)
    return folder.read(name)


def file_entry(path: Path, name: str) -> FileEntry:
    """Size and SHA-256 of a file of this machine, to be listed as ``name``."""
    digest = hashlib.sha256()
    size = 0
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return FileEntry(path=name, size_bytes=size, sha256=digest.hexdigest())


def fetch_verified(folder: Folder, entry: FileEntry, path: Path) -> None:
    """Download one file of a manifest; IntegrityError where its size or hash is not what was promised."""
    folder.download(entry.path, path)
    verify(path, entry, where=folder.uri(entry.path))


def verify(path: Path, entry: FileEntry, *, where: str = "") -> None:
    """IntegrityError unless the file has the size and SHA-256 of its entry."""
    size = path.stat().st_size
    if size != entry.size_bytes:
        raise IntegrityError(
            "wrong size", where=where or str(path), expected=f"{entry.size_bytes} bytes", got=f"{size}"
        )
    found = file_entry(path, entry.path).sha256
    if found != entry.sha256:
        raise IntegrityError("wrong content", where=where or str(path), expected=entry.sha256, got=found)


def _missing(uri: str) -> InputError:
    return InputError("does not exist", where=uri)


@functools.cache
def _client() -> BaseClient:
    import boto3
    from botocore.config import Config

    # a checkpoint must outlive a throttled or restarting endpoint
    return boto3.client("s3", config=Config(retries={"max_attempts": 10, "mode": "standard"}))
