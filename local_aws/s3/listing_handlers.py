"""Handlers of the operations that list objects and versions."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any

from local_aws.errors import AwsError
from local_aws.http.messages import Response
from local_aws.s3.calls import S3Call
from local_aws.s3.documents import document, encoder, iso_time
from local_aws.s3.records import ObjectRecord
from local_aws.s3.walk import Page, Walk, list_page, read_record

_OWNER = {"ID": "local", "DisplayName": "local"}
_Encode = Callable[[str], str]


def list_objects_v2(call: S3Call) -> Response:
    """Handle ListObjectsV2."""
    query, encode = call.query, encoder(call.query.get("encoding-type"))
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    limit = call.number("max-keys", 1000, 1000)
    token, start_after = query.get("continuation-token"), query.get("start-after", "")
    after, skip = _read_token(token) if token is not None else (start_after, "")
    page = list_page(call.bucket, prefix, delimiter, after=after, skip=skip, limit=limit)
    owner = _OWNER if query.get("fetch-owner") == "true" else None
    return document(
        "ListBucketResult",
        {
            **_common(call, page, limit, encode),
            "KeyCount": len(page.records) + len(page.prefixes),
            "StartAfter": encode(start_after) if start_after else None,
            "ContinuationToken": token,
            "NextContinuationToken": _token(page) if page.truncated else None,
            **_contents(page, encode, owner),
        },
    )


def list_objects(call: S3Call) -> Response:
    """Handle ListObjects, the first version of the API."""
    query, encode = call.query, encoder(call.query.get("encoding-type"))
    prefix, delimiter, marker = query.get("prefix", ""), query.get("delimiter", ""), query.get("marker", "")
    limit = call.number("max-keys", 1000, 1000)
    # a marker that is a common prefix skips all keys that begin with it
    grouped = delimiter and marker.startswith(prefix) and marker.endswith(delimiter)
    skip = marker if grouped and len(marker) > len(prefix) else ""
    page = list_page(call.bucket, prefix, delimiter, after=marker, skip=skip, limit=limit)
    next_marker = encode(page.last) if page.truncated and delimiter else None
    return document(
        "ListBucketResult",
        {
            **_common(call, page, limit, encode),
            "Marker": encode(marker),
            "NextMarker": next_marker,
            **_contents(page, encode, _OWNER),
        },
    )


def _common(call: S3Call, page: Page, limit: int, encode: _Encode) -> dict[str, Any]:
    delimiter = call.query.get("delimiter")
    return {
        "Name": call.bucket.name,
        "Prefix": encode(call.query.get("prefix", "")),
        "Delimiter": encode(delimiter) if delimiter else None,
        "MaxKeys": limit,
        "EncodingType": call.query.get("encoding-type"),
        "IsTruncated": page.truncated,
    }


def _contents(page: Page, encode: _Encode, owner: Mapping[str, str] | None) -> dict[str, Any]:
    return {
        "Contents": [{**_described(record, encode), "Owner": owner} for record in page.records],
        "CommonPrefixes": [{"Prefix": encode(prefix)} for prefix in page.prefixes],
    }


def _described(record: ObjectRecord, encode: _Encode) -> dict[str, Any]:
    return {
        "Key": encode(record.key),
        "LastModified": iso_time(record.modified_ns / 1e9),
        "ETag": f'"{record.etag}"',
        "ChecksumAlgorithm": sorted(record.checksums),
        "ChecksumType": record.checksum_type if record.checksums else None,
        "Size": record.size,
        "StorageClass": record.headers.get("x-amz-storage-class", "STANDARD"),
    }


def _token(page: Page) -> str:
    """Encode the end of a page as a continuation token: 'p' and a common prefix, or 'k' and a key."""
    grouped = bool(page.prefixes) and page.last == page.prefixes[-1]
    return base64.urlsafe_b64encode(f"{'p' if grouped else 'k'}{page.last}".encode()).decode()


def _read_token(token: str) -> tuple[str, str]:
    """Decode a continuation token into the arguments ``after`` and ``skip`` of ``list_page``."""
    try:
        text = base64.urlsafe_b64decode(token.encode()).decode()
    except (binascii.Error, ValueError):
        text = ""
    if text[:1] not in ("p", "k"):
        raise AwsError("InvalidArgument", "The continuation token provided is incorrect", 400)
    return text[1:], text[1:] if text[0] == "p" else ""


# ---- versions -------------------------------------------------------------------
def list_object_versions(call: S3Call) -> Response:
    """Handle ListObjectVersions: keys in order, and the versions of each key from new to old."""
    query, encode = call.query, encoder(call.query.get("encoding-type"))
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    limit = call.number("max-keys", 1000, 1000)
    key_marker, version_marker = query.get("key-marker", ""), query.get("version-id-marker", "")
    if "version-id-marker" in query and not key_marker:
        raise AwsError(
            "InvalidArgument", "A version-id marker cannot be specified without a key marker.", 400
        )
    entries: list[tuple[ObjectRecord, bool]] = []
    prefixes: list[str] = []
    truncated, last = False, ("", "")
    for record, is_latest in _after(_all_versions(call, prefix), key_marker, version_marker):
        cut = record.key.find(delimiter, len(prefix)) if delimiter else -1
        group = record.key[: cut + len(delimiter)] if cut >= 0 else ""
        if group and (group in prefixes[-1:] or (not version_marker and key_marker == group)):
            continue
        if len(entries) + len(prefixes) >= limit:
            truncated = limit > 0
            break
        if group:
            prefixes.append(group)
            last = (group, "")
        else:
            entries.append((record, is_latest))
            last = (record.key, record.version_id)
    return document(
        "ListVersionsResult",
        {
            "Name": call.bucket.name,
            "Prefix": encode(prefix),
            "KeyMarker": encode(key_marker),
            "VersionIdMarker": version_marker,
            "NextKeyMarker": encode(last[0]) if truncated else None,
            "NextVersionIdMarker": (last[1] or None) if truncated else None,
            "MaxKeys": limit,
            "Delimiter": encode(delimiter) if delimiter else None,
            "EncodingType": query.get("encoding-type"),
            "IsTruncated": truncated,
            "Version": [_version(r, latest, encode) for r, latest in entries if not r.delete_marker],
            "DeleteMarker": [_marker(r, latest, encode) for r, latest in entries if r.delete_marker],
            "CommonPrefixes": [{"Prefix": encode(group)} for group in prefixes],
        },
    )


def _all_versions(call: S3Call, prefix: str) -> list[tuple[ObjectRecord, bool]]:
    """Return (record, True if it is the latest of its key) in the order of the listing."""
    bucket = call.bucket
    by_key: dict[str, dict[str, ObjectRecord]] = {}
    for record in call.storage.objects.archive(bucket).all():
        if record.key.startswith(prefix):
            by_key.setdefault(record.key, {})[record.version_id] = record
    current: set[tuple[str, str]] = set()
    for key in Walk(bucket, prefix):
        found = read_record(bucket, key)
        if found is not None:
            by_key.setdefault(key, {})[found.version_id] = found
            current.add((key, found.version_id))
    ordered = []
    for key in sorted(by_key):
        # the current file comes first even when another program gave it an older time
        versions = sorted(
            by_key[key].values(),
            key=lambda r: ((r.key, r.version_id) in current, r.modified_ns),
            reverse=True,
        )
        ordered += [(record, index == 0) for index, record in enumerate(versions)]
    return ordered


def _after(
    versions: list[tuple[ObjectRecord, bool]], key_marker: str, version_marker: str
) -> list[tuple[ObjectRecord, bool]]:
    if not key_marker:
        return versions
    for index, (record, _) in enumerate(versions):
        if version_marker and (record.key, record.version_id) == (key_marker, version_marker):
            return versions[index + 1 :]
    return [entry for entry in versions if entry[0].key > key_marker]


def _version(record: ObjectRecord, latest: bool, encode: _Encode) -> dict[str, Any]:
    return {
        **_described(record, encode),
        "VersionId": record.version_id,
        "IsLatest": latest,
        "Owner": _OWNER,
    }


def _marker(record: ObjectRecord, latest: bool, encode: _Encode) -> dict[str, Any]:
    return {
        "Key": encode(record.key),
        "VersionId": record.version_id,
        "IsLatest": latest,
        "LastModified": iso_time(record.modified_ns / 1e9),
        "Owner": _OWNER,
    }
