"""Large objects of S3: downloads by parallel ranges, copies by parallel parts; each of one version."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from include.contracts.storage import S3Uri
from include.object_store.errors import (
    absent_object,
    changed_object,
    code_of,
    is_absent,
    no_bucket,
    readable_errors,
)
from include.object_store.streams import BLOCK_BYTES, S3Stream

_PARALLEL = 8
_RANGE_BYTES = 16 << 20
#: A smaller object comes by one request.
_RANGED_FROM_BYTES = 64 << 20
#: S3 copies at most 5 GiB by one request; 1 GiB is copied well within the read timeout of the client.
LARGEST_COPY_BYTES = 1 << 30
_COPY_PART_BYTES = 256 << 20
_MOST_PARTS = 10_000


def head_object(client: Any, at: S3Uri) -> dict[str, Any] | None:
    """Return the answer of HeadObject, or None for an absent object. Raises InputError without its bucket."""
    with readable_errors(at):
        try:
            head: dict[str, Any] = client.head_object(Bucket=at.bucket, Key=at.key)
        except Exception as error:
            if not is_absent(error):
                raise
        else:
            return head
        # a HEAD has no body to say which of the two is missing
        try:
            client.head_bucket(Bucket=at.bucket)
        except Exception as error:
            if is_absent(error):
                raise no_bucket(at.bucket) from error
            raise
    return None


def download(client: Any, at: S3Uri, path: Path, etag: str = "") -> None:
    """Fetch an object to a path of the caller's own: an error leaves a part of it there."""
    with path.open("wb") as file:
        with S3Stream(client, at, etag) as first:
            size, version = first.size_left, first.etag
            if size is None or size <= _RANGED_FROM_BYTES:
                shutil.copyfileobj(first, file, BLOCK_BYTES)
                return
        file.truncate(size)
    fetch = partial(_fetch_range, client, at, version, path, size)
    with ThreadPoolExecutor(_PARALLEL) as pool:
        list(pool.map(fetch, range(0, size, _RANGE_BYTES)))


def copy(
    client: Any,
    source: S3Uri,
    target: S3Uri,
    etag: str = "",
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Copy an object inside S3, of any size, of the version ``etag`` if it is given.

    ``metadata`` replaces that of the source; without it the copy keeps the source's.
    """
    head = head_object(client, source)
    if head is None:
        raise absent_object(str(source))
    size, version = int(head["ContentLength"]), etag or str(head["ETag"]).strip('"')
    copy_source = {
        "CopySource": {"Bucket": source.bucket, "Key": source.key},
        "CopySourceIfMatch": f'"{version}"',
    }
    with _copy_errors(source, target, version):
        if size > LARGEST_COPY_BYTES:
            kept = head.get("Metadata", {}) if metadata is None else metadata
            described = {"Metadata": dict(kept), "ContentType": head["ContentType"]}
            _copy_in_parts(client, copy_source, target, size, described)
            return
        described = {}
        if metadata is not None:
            described = {
                "Metadata": dict(metadata),
                "ContentType": head["ContentType"],
                "MetadataDirective": "REPLACE",
            }
        client.copy_object(Bucket=target.bucket, Key=target.key, **copy_source, **described)


def _copy_in_parts(
    client: Any, copy_source: dict[str, Any], target: S3Uri, size: int, described: dict[str, Any]
) -> None:
    parameters = {"Bucket": target.bucket, "Key": target.key}
    upload = {**parameters, "UploadId": client.create_multipart_upload(**parameters, **described)["UploadId"]}
    step = max(_COPY_PART_BYTES, -(-size // _MOST_PARTS))

    def copy_part(number: int, first: int) -> dict[str, Any]:
        last = min(first + step, size) - 1
        copied = client.upload_part_copy(
            **upload, **copy_source, PartNumber=number, CopySourceRange=f"bytes={first}-{last}"
        )
        return {"PartNumber": number, "ETag": copied["CopyPartResult"]["ETag"]}

    try:
        starts = range(0, size, step)
        with ThreadPoolExecutor(_PARALLEL) as pool:
            parts = list(pool.map(copy_part, range(1, len(starts) + 1), starts))
        client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    except BaseException:
        # a failure to abort must not hide why the copy failed
        with contextlib.suppress(Exception):
            client.abort_multipart_upload(**upload)
        raise


def _fetch_range(client: Any, at: S3Uri, etag: str, path: Path, size: int, first: int) -> None:
    with (
        S3Stream(client, at, etag, first, min(first + _RANGE_BYTES, size)) as stream,
        path.open("r+b") as file,
    ):
        file.seek(first)
        shutil.copyfileobj(stream, file, BLOCK_BYTES)


@contextlib.contextmanager
def _copy_errors(source: S3Uri, target: S3Uri, etag: str) -> Iterator[None]:
    with readable_errors(target):
        try:
            yield
        except Exception as error:
            if code_of(error) in ("PreconditionFailed", "412"):
                raise changed_object(str(source), etag, "another version") from error
            if code_of(error) in ("NoSuchKey", "404"):
                raise absent_object(str(source)) from error
            raise
