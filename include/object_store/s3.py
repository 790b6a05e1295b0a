"""Objects of S3 with the operations of an object store."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from include.contracts.storage import S3Uri
from include.object_store.backend import ObjectStat
from include.object_store.clients import s3_client
from include.object_store.errors import (
    ConditionFailed,
    ObjectAbsent,
    absent_object,
    code_of,
    readable_errors,
    require_deleted,
    require_folder,
)
from include.object_store.local import LocalFiles
from include.object_store.streams import BLOCK_BYTES, RangedReader, S3Stream
from include.object_store.transfers import download, head_object

#: Two writers at once make S3 answer 409: nothing was decided yet, and the request is to be sent again.
_CONFLICT_TRIES = 5


class S3Objects:
    """The backend of ``s3://`` URIs. Without a client it uses the one of this process and environment."""

    def __init__(self, client: Any = None) -> None:
        self._given = client

    @property
    def client(self) -> Any:
        """The boto3 client."""
        return self._given or s3_client()

    def find(self, at: S3Uri) -> ObjectStat | None:
        head = head_object(self.client, at)
        if head is None:
            return None
        return ObjectStat(
            str(at),
            int(head["ContentLength"]),
            _plain_etag(head),
            dict(head.get("Metadata", {})),
            head.get("LastModified"),  # not every endpoint that speaks S3 says it
        )

    def exists(self, at: S3Uri) -> bool:
        return self.find(at) is not None

    def open(self, at: S3Uri, etag: str = "") -> BinaryIO:
        return io.BufferedReader(S3Stream(self.client, at, etag), BLOCK_BYTES)

    def read(self, at: S3Uri) -> bytes:
        with S3Stream(self.client, at) as stream:
            return stream.readall()

    def read_range(self, at: S3Uri, start: int, size: int, etag: str = "") -> bytes:
        with S3Stream(self.client, at, etag, start, start + size) as stream:
            return stream.readall()

    def open_ranged(self, at: S3Uri) -> BinaryIO:
        found = self.find(at)
        if found is None:
            raise absent_object(str(at))
        return RangedReader(self.client, at, found.size_bytes, found.etag)  # type: ignore[return-value]

    def write(self, at: S3Uri, content: bytes, metadata: Mapping[str, str] | None = None) -> str:
        with readable_errors(at):
            answer = self.client.put_object(
                Bucket=at.bucket, Key=at.key, Body=content, Metadata=dict(metadata or {}), **_content_type(at)
            )
        return _plain_etag(answer)

    def create(self, at: S3Uri, content: bytes) -> str:
        return self._put_if(at, content, IfNoneMatch="*")

    def replace(self, at: S3Uri, content: bytes, etag: str) -> str:
        try:
            return self._put_if(at, content, IfMatch=f'"{etag}"')
        except ObjectAbsent as error:
            raise ConditionFailed(
                "the object is not in the expected state",
                where=str(at),
                expected=f"etag {etag}",
                got="no object",
                remedy="read it again and decide by what it is now",
            ) from error

    def upload(self, at: S3Uri, path: Path) -> None:
        with readable_errors(at):
            self.client.upload_file(str(path), at.bucket, at.key, ExtraArgs=_content_type(at))

    def download(self, at: S3Uri, path: Path, etag: str = "") -> None:
        with LocalFiles().publish(path) as arriving:
            download(self.client, at, arriving, etag)

    @contextlib.contextmanager
    def publish(self, at: S3Uri) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="nexus-") as folder:
            path = Path(folder) / "content"
            yield path
            self.upload(at, path)

    @contextlib.contextmanager
    def local_copy(self, at: S3Uri, etag: str = "") -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="nexus-") as folder:
            path = Path(folder) / "content"
            download(self.client, at, path, etag)
            yield path

    def list(self, at: S3Uri, starts_with: str = "") -> Iterator[ObjectStat]:
        for page in self._pages(at, starts_with):
            for item in page:
                if not item["Key"].endswith("/"):  # a marker by which consoles and Spark show a folder
                    uri, modified = f"s3://{at.bucket}/{item['Key']}", item.get("LastModified")
                    yield ObjectStat(uri, item["Size"], _plain_etag(item), modified=modified)

    def delete(self, at: S3Uri) -> None:
        with readable_errors(at):
            self.client.delete_object(Bucket=at.bucket, Key=at.key)

    def delete_folder(self, at: S3Uri) -> int:
        require_folder(at)
        count = 0
        for page in self._pages(at):
            batch = [{"Key": item["Key"]} for item in page]
            with readable_errors(at):
                answer = self.client.delete_objects(
                    Bucket=at.bucket, Delete={"Objects": batch, "Quiet": True}
                )
            require_deleted(answer, at.bucket, len(batch))
            count += len(batch)
        return count

    def signed_url(self, at: S3Uri, seconds: int) -> str:
        """Return an address that lets a browser read the object for a while."""
        with readable_errors(at):
            return str(
                self.client.generate_presigned_url(
                    "get_object", Params={"Bucket": at.bucket, "Key": at.key}, ExpiresIn=seconds
                )
            )

    def _pages(self, at: S3Uri, starts_with: str = "") -> Iterator[Sequence[dict[str, Any]]]:
        """Yield the objects below a folder in pages of at most 1,000, folder markers included."""
        pages = self.client.get_paginator("list_objects_v2")
        with readable_errors(at):
            for page in pages.paginate(Bucket=at.bucket, Prefix=at.folder.key + starts_with):
                if contents := page.get("Contents"):
                    yield contents

    def _put_if(self, at: S3Uri, content: bytes, **condition: str) -> str:
        with readable_errors(at):
            for attempt in range(_CONFLICT_TRIES):
                try:
                    answer = self.client.put_object(
                        Bucket=at.bucket, Key=at.key, Body=content, **_content_type(at), **condition
                    )
                except Exception as error:
                    if code_of(error) == "ConditionalRequestConflict" and attempt + 1 < _CONFLICT_TRIES:
                        continue
                    # the answer to an earlier try of the same request may have been lost
                    if _was_retried(error) and (found := self._if_equal(at, content)):
                        return found
                    raise
                return _plain_etag(answer)
        raise AssertionError("the last try returns or raises")

    def _if_equal(self, at: S3Uri, content: bytes) -> str:
        """Return the ETag of the object if these are its bytes, else ''."""
        try:
            with S3Stream(self.client, at) as stream:
                return stream.etag if stream.readall() == content else ""
        except ObjectAbsent:
            return ""


def _plain_etag(answer: Mapping[str, Any]) -> str:
    return str(answer.get("ETag", "")).strip('"')


def _content_type(at: S3Uri) -> dict[str, str]:
    """Name pages as such: a browser downloads everything else."""
    return {"ContentType": "text/html; charset=utf-8"} if at.key.endswith(".html") else {}


def _was_retried(error: Exception) -> bool:
    metadata = getattr(error, "response", {}).get("ResponseMetadata", {})
    return code_of(error) in ("PreconditionFailed", "412") and metadata.get("RetryAttempts", 0) > 0
