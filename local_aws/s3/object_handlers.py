"""Handlers of the operations on objects: put, get, head, delete, tags, attributes."""

from __future__ import annotations

import re
from dataclasses import replace
from email.utils import formatdate
from typing import Any

from local_aws.errors import AwsError
from local_aws.http.messages import FileSlice, Response
from local_aws.s3 import checksums
from local_aws.s3.buckets import Bucket
from local_aws.s3.calls import S3Call, header_tags, stored_headers, user_metadata
from local_aws.s3.completion import MAX_PARTS
from local_aws.s3.conditions import byte_range, check_read, write_precondition
from local_aws.s3.documents import document, read_document, tagging, tags_of, text_of
from local_aws.s3.ingest import Received, receive
from local_aws.s3.names import check_key
from local_aws.s3.records import ObjectRecord
from local_aws.s3.store import Opened
from local_aws.s3.tags import MAX_OBJECT_TAGS

_MAX_DELETES = 1000
_ATTRIBUTES = {"ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"}


def put_object(call: S3Call) -> Response:
    """Handle PutObject. It is atomic, may be conditional, and verifies checksums."""
    bucket = call.bucket
    check_key(call.key)
    check = write_precondition(call.headers)
    record = new_record(call)
    also = [a] if (a := call.headers.get("x-amz-sdk-checksum-algorithm")) else []
    received = receive(call.request, call.storage.buckets.temporary, also=also, fsync=call.storage.fsync)
    record = with_bytes(record, received)
    record = call.storage.objects.publish(bucket, record, received.temporary, check)
    return Response(200, _written(bucket, record))


def new_record(call: S3Call) -> ObjectRecord:
    """Build an object's record from the headers of a write, without size, time and ETag."""
    return ObjectRecord(
        call.key,
        0,
        0,
        "",
        headers=stored_headers(call.headers),
        metadata=user_metadata(call.headers),
        tags=header_tags(call.headers),
    )


def with_bytes(record: ObjectRecord, received: Received) -> ObjectRecord:
    """Return ``record`` with the size, ETag and checksums of the received body."""
    return replace(record, size=received.size, etag=received.md5.hex(), checksums=received.checksums)


def get_object(call: S3Call) -> Response:
    """Handle GetObject for a whole object, a range or a part. The body is sent by sendfile."""
    opened = open_for(call)
    try:
        check_read(call.headers, opened.record)
        span = _span(call, opened.record)
        return _read_response(call, opened, span, with_body=True)
    except BaseException:
        opened.file.close()
        raise


def head_object(call: S3Call) -> Response:
    """Handle HeadObject. The headers are those of GetObject."""
    opened = open_for(call)
    with opened.file:
        check_read(call.headers, opened.record)
        span = _span(call, opened.record)
        return _read_response(call, opened, span, with_body=False)


def open_for(call: S3Call) -> Opened:
    """Open the object of the path, in the version of ``versionId`` if it is given."""
    return call.storage.objects.open(call.bucket, call.key, call.query.get("versionId"))


def _span(call: S3Call, record: ObjectRecord) -> tuple[int, int] | None:
    part = call.query.get("partNumber")
    if part is not None and "range" in call.headers:
        raise AwsError(
            "InvalidRequest", "Cannot specify both Range header and partNumber query parameter", 400
        )
    if part is None:
        return byte_range(call.headers.get("range"), record.size)
    sizes = [size for size, _ in record.parts] or [record.size]
    if not re.fullmatch("[0-9]{1,5}", part) or not 1 <= int(part) <= len(sizes):
        raise AwsError("InvalidPartNumber", "The requested partnumber is not satisfiable", 416)
    return sum(sizes[: int(part) - 1]), sizes[int(part) - 1]


def _read_response(
    call: S3Call, opened: Opened, span: tuple[int, int] | None, *, with_body: bool
) -> Response:
    record = opened.record
    headers = object_headers(call.bucket, record)
    for name, value in call.query.items():
        if name.startswith("response-"):
            headers[name.removeprefix("response-").title()] = value
    if record.tags:
        headers["x-amz-tagging-count"] = str(len(record.tags))
    if "partNumber" in call.query and record.parts:
        headers["x-amz-mp-parts-count"] = str(len(record.parts))
    if span is None and call.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED":
        headers |= checksum_headers(record)
    offset, length = span or (0, record.size)
    if span is not None and record.size:
        headers["Content-Range"] = f"bytes {offset}-{offset + length - 1}/{record.size}"
    headers["Content-Length"] = str(length)
    status = 206 if span is not None else 200
    return Response(status, headers, FileSlice(opened.file, offset, length) if with_body else b"")


def object_headers(bucket: Bucket, record: ObjectRecord) -> dict[str, str]:
    """Return the response headers that describe an object."""
    headers = {
        "ETag": f'"{record.etag}"',
        "Last-Modified": formatdate(record.modified_ns // 1_000_000_000, usegmt=True),
        "Accept-Ranges": "bytes",
        **record.headers,
        **{f"x-amz-meta-{name}": value for name, value in record.metadata.items()},
    }
    if bucket.versioned:
        headers["x-amz-version-id"] = record.version_id
    return headers


def version_header(bucket: Bucket, record: ObjectRecord) -> dict[str, str]:
    """Return the x-amz-version-id header, or none in a bucket without versions."""
    return {"x-amz-version-id": record.version_id} if bucket.versioned else {}


def checksum_headers(record: ObjectRecord) -> dict[str, str]:
    """Return the stored checksums as response headers."""
    if not record.checksums:
        return {}
    headers = {checksums.header_of(name): value for name, value in record.checksums.items()}
    return headers | {"x-amz-checksum-type": record.checksum_type}


def checksum_elements(record: ObjectRecord) -> dict[str, str]:
    """Return the stored checksums as elements of an XML document."""
    if not record.checksums:
        return {}
    elements = {f"Checksum{name}": value for name, value in record.checksums.items()}
    return elements | {"ChecksumType": record.checksum_type}


def _written(bucket: Bucket, record: ObjectRecord) -> dict[str, str]:
    headers = {"ETag": f'"{record.etag}"', **checksum_headers(record)}
    if (name := "x-amz-server-side-encryption") in record.headers:
        headers[name] = record.headers[name]
    if bucket.versioned:
        headers["x-amz-version-id"] = record.version_id
    return headers


# ---- delete -------------------------------------------------------------------
def delete_object(call: S3Call) -> Response:
    """Handle DeleteObject. It succeeds if the key does not exist."""
    check = write_precondition(call.headers)
    deleted = call.storage.objects.delete(call.bucket, call.key, call.query.get("versionId"), check)
    headers = {}
    if deleted.version_id:
        headers["x-amz-version-id"] = deleted.version_id
    if deleted.delete_marker:
        headers["x-amz-delete-marker"] = "true"
    return Response(204, headers)


def delete_objects(call: S3Call) -> Response:
    """Handle DeleteObjects: up to 1,000 keys, each with its own result."""
    bucket = call.bucket
    root = read_document(call.request, "Delete")
    entries = root.findall("Object")
    if not 1 <= len(entries) <= _MAX_DELETES:
        raise AwsError("MalformedXML", f"Between 1 and {_MAX_DELETES} objects can be deleted at once.", 400)
    quiet = text_of(root, "Quiet").lower() == "true"
    done: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    for entry in entries:
        key, version = text_of(entry, "Key"), entry.findtext("VersionId") or None
        etag = entry.findtext("ETag")
        check = write_precondition({"if-match": etag}) if etag else None
        try:
            if entry.find("Size") is not None or entry.find("LastModifiedTime") is not None:
                raise AwsError("NotImplemented", "local_aws does not delete by size or time", 501)
            deleted = call.storage.objects.delete(bucket, key, version, check)
        except AwsError as error:
            failed.append({"Key": key, "VersionId": version, "Code": error.code, "Message": error.message})
            continue
        marker = deleted.delete_marker or None
        made = deleted.version_id if marker else None
        done.append({"Key": key, "VersionId": version, "DeleteMarker": marker, "DeleteMarkerVersionId": made})
    return document("DeleteResult", {"Deleted": [] if quiet else done, "Error": failed})


# ---- tags and attributes ----------------------------------------------------------
def get_object_tagging(call: S3Call) -> Response:
    """Handle GetObjectTagging."""
    opened = open_for(call)
    opened.file.close()
    return tagging(opened.record.tags)


def put_object_tagging(call: S3Call) -> Response:
    """Handle PutObjectTagging, which replaces the tag set."""
    tags = tags_of(read_document(call.request, "Tagging"), MAX_OBJECT_TAGS)
    return _retag(call, tags, 200)


def delete_object_tagging(call: S3Call) -> Response:
    """Handle DeleteObjectTagging."""
    return _retag(call, {}, 204)


def _retag(call: S3Call, tags: dict[str, str], status: int) -> Response:
    record = call.storage.objects.retag(call.bucket, call.key, call.query.get("versionId"), tags)
    return Response(status, version_header(call.bucket, record))


def _object_parts(call: S3Call, record: ObjectRecord) -> dict[str, Any]:
    """Describe one page of the parts of an object that was uploaded in parts."""
    limit = call.header_number("x-amz-max-parts", 1000, 1000)
    after = call.header_number("x-amz-part-number-marker", 0, MAX_PARTS)
    numbers = record.part_numbers or range(1, len(record.parts) + 1)
    parts = [entry for entry in zip(numbers, record.parts, strict=True) if entry[0] > after]
    shown = parts[:limit]
    return {
        "PartsCount": len(record.parts),
        "PartNumberMarker": after,
        "NextPartNumberMarker": shown[-1][0] if shown else 0,
        "MaxParts": limit,
        "IsTruncated": len(parts) > limit > 0,
        "Part": [
            {"PartNumber": number, "Size": size, **{f"Checksum{name}": value for name, value in sums.items()}}
            for number, (size, sums) in shown
        ],
    }


def get_object_attributes(call: S3Call) -> Response:
    """Handle GetObjectAttributes. The header x-amz-object-attributes selects the attributes."""
    opened = open_for(call)
    opened.file.close()
    record = opened.record
    wanted = {name.strip() for name in call.headers.get("x-amz-object-attributes", "").split(",")}
    if not wanted <= _ATTRIBUTES:
        raise AwsError("InvalidArgument", f"Invalid attribute name specified. Use {sorted(_ATTRIBUTES)}", 400)
    content: dict[str, Any] = {
        "ETag": record.etag,
        "Checksum": checksum_elements(record) or None,
        "ObjectParts": _object_parts(call, record) if record.parts else None,
        "StorageClass": record.headers.get("x-amz-storage-class", "STANDARD"),
        "ObjectSize": record.size,
    }
    answer = document("GetObjectAttributesResponse", {k: v for k, v in content.items() if k in wanted})
    answer.headers["Last-Modified"] = formatdate(record.modified_ns // 1_000_000_000, usegmt=True)
    answer.headers |= version_header(call.bucket, record)
    return answer
