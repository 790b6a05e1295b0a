"""Objects in S3: records with their hashes, and listings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from include.aws.clients import client
from include.contracts.errors import InputError, IntegrityError
from include.contracts.manifests import ParentRef
from include.contracts.records import canonical_json, content_hash, parse_json
from include.contracts.s3_errors import ABSENT, DENIED, access_denied, require_deleted, require_folder
from include.contracts.storage import S3Uri

T = TypeVar("T")


@dataclass(frozen=True)
class ListedObject:
    """One object of a listing; ``etag`` without its quotes."""

    uri: S3Uri
    size_bytes: int
    etag: str


class ObjectStore:
    """What the DAG side reads and writes in S3: small objects, whole."""

    def __init__(self, s3: Any = None) -> None:
        self._s3 = s3 or client("s3")

    def read(self, uri: S3Uri) -> bytes:
        """The bytes of an object; InputError when it or its bucket is missing."""
        try:
            content: bytes = self._s3.get_object(Bucket=uri.bucket, Key=uri.key)["Body"].read()
        except ClientError as error:
            raise _readable(error, uri) from error
        return content

    def write(self, uri: S3Uri, content: bytes) -> None:
        """Replace an object; InputError when the bucket is missing."""
        try:
            self._s3.put_object(Bucket=uri.bucket, Key=uri.key, Body=content)
        except ClientError as error:
            raise _readable(error, uri) from error

    def exists(self, uri: S3Uri) -> bool:
        """Whether an object is there; a missing bucket is an InputError, not a no."""
        try:
            self._s3.head_object(Bucket=uri.bucket, Key=uri.key)
        except ClientError as error:
            if _code(error) not in ABSENT:
                raise _readable(error, uri) from error
            self._require_bucket(uri)
            return False
        return True

    def head(self, uri: S3Uri) -> ListedObject:
        """Size and ETag of one object; InputError when it is not there."""
        try:
            found = self._s3.head_object(Bucket=uri.bucket, Key=uri.key)
        except ClientError as error:
            if _code(error) in ABSENT:
                self._require_bucket(uri)
                raise InputError("no such object", where=str(uri)) from error
            raise _readable(error, uri) from error
        return ListedObject(uri, found["ContentLength"], found["ETag"].strip('"'))

    def read_record(self, kind: type[T], uri: S3Uri, sha256: str = "") -> T:
        """A manifest or report; IntegrityError when ``sha256`` is given and the bytes differ."""
        return self.referenced_record(kind, uri, sha256)[0]

    def referenced_record(self, kind: type[T], uri: S3Uri, sha256: str = "") -> tuple[T, ParentRef]:
        """See read_record; with the reference of the very bytes that were read."""
        content = self.read(uri)
        found = content_hash(content)
        if sha256 and found != sha256:
            raise IntegrityError(
                "the manifest changed after it was announced",
                where=str(uri),
                expected=f"sha256 {sha256}",
                got=found,
                remedy="start the run again with the hash of the present manifest",
            )
        return parse_json(kind, content, where=str(uri)), ParentRef(str(uri), found)

    def write_record(self, uri: S3Uri, record: Any) -> ParentRef:
        """Write a record canonically; returns its reference with the hash of the stored bytes."""
        content = canonical_json(record)
        self.write(uri, content)
        return ParentRef(str(uri), content_hash(content))

    def reference(self, uri: S3Uri) -> ParentRef:
        """The reference of an object as it is now."""
        return ParentRef(str(uri), content_hash(self.read(uri)))

    def list(self, prefix: S3Uri) -> Iterator[ListedObject]:
        """Objects under a prefix in key order, without folder markers; InputError without the bucket."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=prefix.bucket, Prefix=prefix.key)
        try:
            for page in pages:
                for entry in page.get("Contents", ()):
                    if not entry["Key"].endswith("/"):
                        uri = S3Uri(prefix.bucket, entry["Key"])
                        yield ListedObject(uri, entry["Size"], entry["ETag"].strip('"'))
        except ClientError as error:
            raise _readable(error, prefix) from error

    def delete_object(self, uri: S3Uri) -> None:
        """Delete one object, if it is there; InputError when the bucket is missing."""
        try:
            self._s3.delete_object(Bucket=uri.bucket, Key=uri.key)
        except ClientError as error:
            raise _readable(error, uri) from error

    def delete(self, prefix: S3Uri) -> int:
        """Delete everything under a prefix, which is no whole bucket; returns how many objects."""
        require_folder(prefix)
        keys = [entry.uri.key for entry in self.list(prefix)]
        for start in range(0, len(keys), 1000):  # the API's limit for one call
            batch = [{"Key": key} for key in keys[start : start + 1000]]
            answer = self._s3.delete_objects(Bucket=prefix.bucket, Delete={"Objects": batch, "Quiet": True})
            require_deleted(answer, prefix.bucket, batch)
        return len(keys)

    def _require_bucket(self, uri: S3Uri) -> None:
        try:
            self._s3.head_bucket(Bucket=uri.bucket)
        except ClientError as error:
            raise InputError(
                "the bucket does not exist or may not be read",
                where=f"s3://{uri.bucket}",
                remedy="create it, or correct storage in the settings",
            ) from error


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _readable(error: ClientError, uri: S3Uri) -> InputError | ClientError:
    code = _code(error)
    if code == "NoSuchBucket":
        remedy = "create it, or correct storage in the settings"
        return InputError("the bucket does not exist", where=f"s3://{uri.bucket}", remedy=remedy)
    if code in ABSENT:
        return InputError("no such object", where=str(uri), remedy="check the URI")
    if code in DENIED:
        return access_denied(str(uri))
    return error
