"""Handler of CopyObject, and the source of copies for it and UploadPartCopy."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from io import RawIOBase
from urllib.parse import unquote

from local_aws.errors import AwsError
from local_aws.http.messages import Response
from local_aws.s3.buckets import Bucket
from local_aws.s3.calls import S3Call, Storage
from local_aws.s3.conditions import check_read, write_precondition
from local_aws.s3.documents import document, iso_time
from local_aws.s3.ingest import Received, store
from local_aws.s3.names import check_key
from local_aws.s3.object_handlers import checksum_elements, new_record, version_header, with_bytes
from local_aws.s3.records import ObjectRecord
from local_aws.s3.store import Opened
from local_aws.s3.uploads import copy_range

#: A copy has these from its own request, even if it takes the metadata of its source.
_NOT_COPIED = ("x-amz-storage-class", "x-amz-server-side-encryption", "x-amz-website-redirect-location")


def open_copy_source(call: S3Call) -> tuple[Bucket, Opened]:
    """Open the source of a copy and check its conditional headers. Raises AwsError if one fails."""
    source, _, query = call.headers["x-amz-copy-source"].partition("?")
    bucket_name, _, key = unquote(source).removeprefix("/").partition("/")
    version = query.removeprefix("versionId=") or None
    if not bucket_name or not key:
        raise AwsError("InvalidArgument", "Copy Source must mention the source bucket and key", 400)
    bucket = call.storage.buckets.get(bucket_name)
    opened = call.storage.objects.open(bucket, key, version)
    try:
        check_read(call.headers, opened.record, "x-amz-copy-source-")
    except BaseException:
        opened.file.close()
        raise
    return bucket, opened


class FileBody(RawIOBase):
    """A slice of an open file as a request body."""

    def __init__(self, descriptor: int, offset: int, length: int) -> None:
        self._descriptor, self._offset, self._end = descriptor, offset, offset + length

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill at most ``buffer``; 0 at the end."""
        view = memoryview(buffer)[: self._end - self._offset]
        count = os.preadv(self._descriptor, [view], self._offset) if view else 0
        self._offset += count
        return count


def copy_object(call: S3Call) -> Response:
    """Handle CopyObject. Metadata and tags come from the source, or from the request with REPLACE."""
    bucket = call.bucket
    check_key(call.key)
    check = write_precondition(call.headers)
    source_bucket, opened = open_copy_source(call)
    source = opened.record
    with opened.file:
        replace_metadata = _replaces(call, "x-amz-metadata-directive")
        replace_tags = _replaces(call, "x-amz-tagging-directive")
        same = (source_bucket.name, source.key) == (bucket.name, call.key)
        changes = replace_metadata or any(name in call.headers for name in _NOT_COPIED)
        if same and not changes and "?" not in call.headers["x-amz-copy-source"]:
            raise AwsError(
                "InvalidRequest",
                "This copy request is illegal because it is trying to copy an object to itself without "
                "changing the object's metadata, storage class, website redirect location or encryption "
                "attributes.",
                400,
            )
        fresh = new_record(call)
        copied = {n: v for n, v in source.headers.items() if n.lower() not in _NOT_COPIED}
        own = {n: v for n, v in fresh.headers.items() if n.lower() in _NOT_COPIED}
        received = _copy_bytes(call.storage, opened, call.headers.get("x-amz-checksum-algorithm"))
    record = with_bytes(
        ObjectRecord(
            call.key,
            0,
            0,
            "",
            headers=fresh.headers if replace_metadata else {**copied, **own},
            metadata=fresh.metadata if replace_metadata else source.metadata,
            tags=fresh.tags if replace_tags else source.tags,
        ),
        received,
    )
    record = call.storage.objects.publish(bucket, record, received.temporary, check)
    headers = version_header(bucket, record)
    if source_bucket.versioned:
        headers["x-amz-copy-source-version-id"] = source.version_id
    answer = document("CopyObjectResult", {**_copied(record), **checksum_elements(record)})
    answer.headers |= headers
    return answer


def _replaces(call: S3Call, name: str) -> bool:
    """Read a directive of a copy. Raises AwsError InvalidArgument unless it is COPY or REPLACE."""
    directive = call.headers.get(name, "COPY")
    if directive not in ("COPY", "REPLACE"):
        raise AwsError(
            "InvalidArgument",
            f"{name}: unknown directive",
            400,
            {"ArgumentName": name, "ArgumentValue": directive},
        )
    return directive == "REPLACE"


def _copied(record: ObjectRecord) -> Mapping[str, str]:
    return {"ETag": f'"{record.etag}"', "LastModified": iso_time(record.modified_ns / 1e9)}


def _copy_bytes(storage: Storage, opened: Opened, algorithm: str | None) -> Received:
    """Copy in the kernel if ETag and checksum are known. Otherwise read the bytes and compute them."""
    source, descriptor = opened.record, opened.file.fileno()
    wanted = {algorithm.upper()} if algorithm else set(source.checksums)
    known = (
        "-" not in source.etag and source.checksum_type == "FULL_OBJECT" and wanted == set(source.checksums)
    )
    if not known or not source.checksums:
        body = FileBody(descriptor, 0, source.size)
        return store(body, storage.buckets.temporary, wanted, source.size, storage.fsync)
    temporary = storage.buckets.temporary / uuid.uuid4().hex
    try:
        with temporary.open("xb", buffering=0) as out:
            copy_range(descriptor, out.fileno(), 0, source.size)
            if storage.fsync:
                os.fsync(out.fileno())
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return Received(temporary, source.size, bytes.fromhex(source.etag), source.checksums)
