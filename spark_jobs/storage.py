"""Files by URI: ``s3://bucket/key`` through boto3, anything else a local path (``file://`` allowed).

Writes are atomic: an object or file is whole or absent. The S3 endpoint and the credentials come from
the environment (``AWS_ENDPOINT_URL``), as everywhere else.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import unquote, urlparse

from include.contracts.errors import InputError, IntegrityError
from include.contracts.records import parse_json
from include.contracts.s3_errors import ABSENT, DENIED, access_denied, require_deleted, require_folder
from include.contracts.storage import S3Uri

T = TypeVar("T")

_BLOCK = 1 << 20
_REOPEN_LIMIT = 5


@dataclass(frozen=True)
class Stat:
    """Size and entity tag; of a local file the tag is the SHA-256 of its bytes."""

    size_bytes: int
    etag: str


@dataclass(frozen=True)
class Written:
    """A file as it was written."""

    uri: str
    size_bytes: int
    sha256: str


def is_s3(uri: str) -> bool:
    """True for ``s3://`` URIs."""
    return uri.startswith("s3://")


def local_path(uri: str) -> Path:
    """The path of a local URI; InputError for a scheme that is neither ``file`` nor ``s3``."""
    if "://" not in uri:
        return Path(uri)
    if not uri.startswith("file://"):
        raise InputError("unknown scheme", where=uri, expected="s3://, file:// or a path")
    return Path(unquote(urlparse(uri).path))


def absolute(uri: str) -> str:
    """A path of the command line from the root on; a URI as it is."""
    return uri if "://" in uri else str(Path(uri).resolve())


def join(root: str, *names: str) -> str:
    """``root`` and names with single slashes between."""
    return "/".join([root.rstrip("/"), *(name.strip("/") for name in names)])


def stat(uri: str) -> Stat:
    """Size and tag; InputError when the object, file or bucket is missing."""
    if is_s3(uri):
        place = S3Uri.parse(uri)
        with _readable_errors(uri):
            head = _client().head_object(Bucket=place.bucket, Key=place.key)
        return Stat(int(head["ContentLength"]), str(head["ETag"]).strip('"'))
    path = local_path(uri)
    with _readable_errors(uri), path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Stat(path.stat().st_size, digest)


def exists(uri: str) -> bool:
    """True when the object or file is there."""
    if not is_s3(uri):
        return local_path(uri).is_file()
    try:
        stat(uri)
    except InputError:
        return False
    return True


def open_stream(uri: str, etag: str = "") -> BinaryIO:
    """A forward-only byte stream. On S3 every byte is of the version ``etag`` (IntegrityError else)."""
    if is_s3(uri):
        return io.BufferedReader(_S3Stream(uri, etag), _BLOCK)
    with _readable_errors(uri):
        return local_path(uri).open("rb", buffering=_BLOCK)


def read_bytes(uri: str) -> bytes:
    """The whole content; for small files."""
    with open_stream(uri) as stream:
        return stream.read()


def read_record(kind: type[T], uri: str) -> T:
    """A manifest, request or report; ContractError names the field that is not as agreed."""
    return parse_json(kind, read_bytes(uri), where=uri)


def read_range(uri: str, start: int, size: int) -> bytes:
    """``size`` bytes from ``start``."""
    if size == 0:
        return b""
    if is_s3(uri):
        place = S3Uri.parse(uri)
        with _readable_errors(uri):
            answer = _client().get_object(
                Bucket=place.bucket, Key=place.key, Range=f"bytes={start}-{start + size - 1}"
            )
            content: bytes = answer["Body"].read()
            return content
    with _readable_errors(uri), local_path(uri).open("rb") as file:
        file.seek(start)
        return file.read(size)


def write_bytes(uri: str, content: bytes) -> Written:
    """Write a small file at once."""
    with output_file(uri) as path:
        path.write_bytes(content)
    return Written(uri, len(content), hashlib.sha256(content).hexdigest())


@contextlib.contextmanager
def output_file(uri: str) -> Iterator[Path]:
    """A temporary path to write to; it becomes ``uri`` when the block ends without an error."""
    if is_s3(uri):
        place = S3Uri.parse(uri)
        with tempfile.TemporaryDirectory(prefix="nexus-") as folder:
            path = Path(folder) / "content"
            yield path
            with _readable_errors(uri):
                # a browser shows what it is told is a page, and downloads the rest
                shown = {"ContentType": "text/html; charset=utf-8"} if uri.endswith(".html") else None
                _client().upload_file(str(path), place.bucket, place.key, ExtraArgs=shown)
        return
    target = local_path(uri)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".writing-", dir=target.parent)
    os.close(handle)
    try:
        yield Path(name)
        Path(name).chmod(0o644)
        Path(name).replace(target)
    finally:
        Path(name).unlink(missing_ok=True)


def written(uri: str, path: Path) -> Written:
    """Size and hash of a file about to become ``uri``."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Written(uri, path.stat().st_size, digest)


@contextlib.contextmanager
def local_copy(uri: str, etag: str = "") -> Iterator[Path]:
    """A local path with the content of ``uri``: the file itself, or a download that goes away again."""
    if not is_s3(uri):
        yield local_path(uri)
        return
    with tempfile.TemporaryDirectory(prefix="nexus-") as folder:
        path = Path(folder) / "content"
        with open_stream(uri, etag) as stream, path.open("wb") as file:
            shutil.copyfileobj(stream, file, _BLOCK)
        yield path


def copy(source: str, target: str) -> None:
    """A file as it is, to another place: linked on one disk, copied by S3 within S3."""
    if is_s3(source) and is_s3(target):
        place, origin = S3Uri.parse(target), S3Uri.parse(source)
        with _readable_errors(source):
            _client().copy({"Bucket": origin.bucket, "Key": origin.key}, place.bucket, place.key)
        return
    with local_copy(source) as path:
        if is_s3(target):
            with output_file(target) as sink:
                shutil.copyfile(path, sink)
            return
        goal = local_path(target)
        goal.parent.mkdir(parents=True, exist_ok=True)
        goal.unlink(missing_ok=True)
        try:
            goal.hardlink_to(path)  # files of a version are replaced, never written over
        except OSError:
            with output_file(target) as sink:
                shutil.copyfile(path, sink)


def list_files(prefix: str) -> list[str]:
    """URIs of all files below a folder, sorted; empty when there is none."""
    if is_s3(prefix):
        bucket = S3Uri.parse(prefix).bucket
        return [f"s3://{bucket}/{key}" for key in _keys_below(prefix) if not key.endswith("/")]
    folder = local_path(prefix)
    return sorted(str(path) for path in folder.rglob("*") if path.is_file())


def delete_prefix(prefix: str) -> None:
    """Remove everything below a folder, such as what a killed stage left behind."""
    if not is_s3(prefix):
        shutil.rmtree(local_path(prefix), ignore_errors=True)
        return
    place = S3Uri.parse(prefix)
    require_folder(place)
    # with the markers by which Spark tells folders, or it would find them taken
    keys = _keys_below(prefix)
    for start in range(0, len(keys), 1000):
        objects = [{"Key": key} for key in keys[start : start + 1000]]
        answer = _client().delete_objects(Bucket=place.bucket, Delete={"Objects": objects, "Quiet": True})
        # what stays would be read as this run's output
        require_deleted(answer, place.bucket, objects)


def _keys_below(prefix: str) -> list[str]:
    """Keys of all objects below a folder, markers of folders among them; the whole bucket without a key."""
    place = S3Uri.parse(prefix)
    below = place.key.rstrip("/") + "/" if place.key else ""
    pages = _client().get_paginator("list_objects_v2").paginate(Bucket=place.bucket, Prefix=below)
    with _readable_errors(prefix):
        return [item["Key"] for page in pages for item in page.get("Contents", ())]


class _S3Stream(io.RawIOBase):
    """An object as a stream that reopens where it was when the connection drops."""

    def __init__(self, uri: str, etag: str) -> None:
        self._uri, self._etag = uri, etag
        self._place = S3Uri.parse(uri)
        self._position = 0
        self._body: Any = self._open()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        for attempt in range(_REOPEN_LIMIT):
            try:
                chunk = self._body.read(len(buffer)) if self._body is not None else b""
                break
            except (OSError, _http_error()):
                if attempt == _REOPEN_LIMIT - 1:
                    raise
                self._body = self._open()
        buffer[: len(chunk)] = chunk
        self._position += len(chunk)
        return len(chunk)

    def _open(self) -> Any:
        from botocore.exceptions import ClientError

        request = {"Bucket": self._place.bucket, "Key": self._place.key}
        if self._etag:
            request["IfMatch"] = f'"{self._etag}"'
        if self._position:
            request["Range"] = f"bytes={self._position}-"
        try:
            with _readable_errors(self._uri):
                return _client().get_object(**request)["Body"]
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            if status == 412:
                raise changed_input(self._uri, self._etag, "another version") from error
            if status == 416:  # the connection dropped after the last byte
                return None
            raise


class HashedStream:
    """A stream that hashes what passes, with a look ahead that consumes nothing."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._ahead = b""
        self._digest = hashlib.sha256()
        self.size_bytes = 0

    def peek(self, size: int) -> bytes:
        """Up to ``size`` bytes from here on, fewer only at the end."""
        while len(self._ahead) < size and (more := self._stream.read(size - len(self._ahead))):
            self._ahead += more
        return self._ahead[:size]

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes; empty at the end."""
        if self._ahead:
            cut = len(self._ahead) if size < 0 else size
            content, self._ahead = self._ahead[:cut], self._ahead[cut:]
        else:
            content = self._stream.read(size)
        self._digest.update(content)
        self.size_bytes += len(content)
        return content

    @property
    def sha256(self) -> str:
        """Hash of everything read so far."""
        return self._digest.hexdigest()


def changed_input(uri: str, expected: str, got: str) -> IntegrityError:
    """The error for bytes that are not those the request names."""
    return IntegrityError(
        "the file is not the one that the request names",
        where=uri,
        expected=f"etag {expected}",
        got=got,
        remedy="start a new corpus version from the shards as they are now",
    )


def _http_error() -> type[Exception]:
    from botocore.exceptions import HTTPClientError

    error: type[Exception] = HTTPClientError
    return error


@contextlib.contextmanager
def _readable_errors(uri: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise InputError("no such file", where=uri, remedy="check the path") from error
    except Exception as error:
        code = getattr(error, "response", {}).get("Error", {}).get("Code", "")
        if code == "NoSuchBucket" or "NoSuchBucket" in str(error):
            raise InputError(
                "no such bucket", where=uri, remedy="create the bucket or correct its name"
            ) from error
        if code in ABSENT:
            remedy = "check bucket and key; for a shard that was there at the plan, plan the corpus again"
            raise InputError("no such object or bucket", where=uri, remedy=remedy) from error
        if code in DENIED:
            raise access_denied(uri) from error
        raise


@lru_cache(maxsize=1)
def _client() -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client("s3", config=Config(retries={"max_attempts": 8, "mode": "standard"}))
