"""Handlers of the operations of multipart uploads."""

from __future__ import annotations

import re
import time
import uuid
from typing import Any

from local_aws.errors import AwsError
from local_aws.http.messages import Response
from local_aws.s3 import checksums
from local_aws.s3.calls import S3Call, header_tags, stored_headers, user_metadata
from local_aws.s3.completion import MAX_PARTS, Completion, NamedPart, Part, Upload
from local_aws.s3.conditions import write_precondition
from local_aws.s3.copy_handlers import FileBody, open_copy_source
from local_aws.s3.documents import document, encoder, iso_time, read_document, text_of
from local_aws.s3.ingest import receive, store
from local_aws.s3.names import check_key
from local_aws.s3.object_handlers import checksum_elements

_OWNER = {"ID": "local", "DisplayName": "local"}


def create_multipart_upload(call: S3Call) -> Response:
    """Handle CreateMultipartUpload."""
    bucket = call.bucket
    check_key(call.key)
    asked = call.headers.get("x-amz-checksum-algorithm", "").upper()
    algorithm = asked or checksums.DEFAULT
    checksums.new_digest(algorithm)
    composite = asked and algorithm != checksums.DEFAULT
    kind = call.headers.get("x-amz-checksum-type", "COMPOSITE" if composite else "FULL_OBJECT").upper()
    if kind == "FULL_OBJECT" and algorithm.startswith("SHA"):
        raise AwsError(
            "InvalidRequest", f"The FULL_OBJECT checksum type cannot be used with {algorithm}", 400
        )
    if kind == "COMPOSITE" and algorithm == checksums.DEFAULT:
        raise AwsError("InvalidRequest", f"The COMPOSITE checksum type cannot be used with {algorithm}", 400)
    upload = Upload(
        uuid.uuid4().hex,
        call.key,
        time.time(),
        algorithm,
        kind,
        stored_headers(call.headers),
        user_metadata(call.headers),
        header_tags(call.headers),
        explicit=bool(asked),
    )
    call.storage.uploads.create(bucket, upload)
    answer = document(
        "InitiateMultipartUploadResult",
        {"Bucket": bucket.name, "Key": call.key, "UploadId": upload.upload_id},
    )
    if asked:
        answer.headers |= {"x-amz-checksum-algorithm": algorithm, "x-amz-checksum-type": kind}
    return answer


def upload_part(call: S3Call) -> Response:
    """Handle UploadPart. It verifies checksums and replaces an earlier part of the same number."""
    upload, number = _upload(call), _part_number(call)
    for name in checksums.named(call.headers):
        if upload.explicit and name != upload.algorithm:
            raise checksums.mismatch(upload.algorithm, name)
    received = receive(
        call.request, call.storage.buckets.temporary, also=[upload.algorithm], fsync=call.storage.fsync
    )
    part = call.storage.uploads.add_part(call.bucket, upload, number, received)
    sums = checksums.claimed(call.headers) or {upload.algorithm: part.checksums[upload.algorithm]}
    headers = {checksums.header_of(name): value for name, value in sums.items()}
    return Response(200, {"ETag": f'"{part.etag}"', **headers})


def upload_part_copy(call: S3Call) -> Response:
    """Handle UploadPartCopy, which copies an object or a range of it to a part."""
    upload, number = _upload(call), _part_number(call)
    source_bucket, opened = open_copy_source(call)
    with opened.file:
        header = call.headers.get("x-amz-copy-source-range")
        offset, length = _copied_range(header, opened.record.size) if header else (0, opened.record.size)
        received = store(
            FileBody(opened.file.fileno(), offset, length),
            call.storage.buckets.temporary,
            [upload.algorithm],
            length,
            call.storage.fsync,
        )
    part = call.storage.uploads.add_part(call.bucket, upload, number, received)
    answer = document(
        "CopyPartResult",
        {"ETag": f'"{part.etag}"', "LastModified": iso_time(part.modified), **_sums(upload, part)},
    )
    if source_bucket.versioned:
        answer.headers["x-amz-copy-source-version-id"] = opened.record.version_id
    return answer


def _copied_range(header: str, size: int) -> tuple[int, int]:
    """Parse a copy range into (offset, length). Unlike a Range header it names bytes that all exist."""
    found = re.fullmatch("bytes=([0-9]{1,18})-([0-9]{1,18})", header.strip())
    first, last = (int(found[1]), int(found[2])) if found else (1, 0)
    if first > last:
        raise AwsError(
            "InvalidArgument",
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are"
            " the zero-based offsets of the first and last bytes to copy",
            400,
        )
    if last >= size:
        raise AwsError(
            "InvalidArgument",
            f"Range specified is not valid for source object of size: {size}",
            400,
            {"ArgumentName": "x-amz-copy-source-range", "ArgumentValue": header},
        )
    return first, last - first + 1


def complete_multipart_upload(call: S3Call) -> Response:
    """Handle CompleteMultipartUpload. The object is published atomically."""
    bucket, upload_id = call.bucket, call.query["uploadId"]
    check = write_precondition(call.headers)
    record = call.storage.uploads.complete(bucket, call.key, upload_id, _completion(call), check)
    host = call.headers.get("host", "localhost")
    answer = document(
        "CompleteMultipartUploadResult",
        {
            "Location": f"http://{host}/{bucket.name}/{call.key}",
            "Bucket": bucket.name,
            "Key": call.key,
            "ETag": f'"{record.etag}"',
            **checksum_elements(record),
        },
    )
    if bucket.versioned:
        answer.headers["x-amz-version-id"] = record.version_id
    return answer


def _completion(call: S3Call) -> Completion:
    # the checksum headers of this operation are those of the object, not of the document
    root = read_document(call.request, "CompleteMultipartUpload", checksums_are_of_body=False)
    parts = []
    for part in root.iterfind("Part"):
        number = text_of(part, "PartNumber")
        if not re.fullmatch("[0-9]{1,5}", number):
            raise AwsError("MalformedXML", "A part has no number.", 400)
        sums = {a: v for a in checksums.ALGORITHMS if (v := text_of(part, f"Checksum{a}"))}
        parts.append(NamedPart(int(number), text_of(part, "ETag").strip('"'), sums))
    size = call.headers.get("x-amz-mp-object-size", "")
    if size and not re.fullmatch("[0-9]{1,18}", size):
        raise AwsError("InvalidRequest", "Value for x-amz-mp-object-size header is invalid.", 400)
    return Completion(
        parts,
        checksums.claimed(call.headers),
        call.headers.get("x-amz-checksum-type", "").upper(),
        int(size) if size else None,
    )


def abort_multipart_upload(call: S3Call) -> Response:
    """Handle AbortMultipartUpload."""
    call.storage.uploads.abort(call.bucket, _upload(call))
    return Response(204)


def list_parts(call: S3Call) -> Response:
    """Handle ListParts, with pagination by part number."""
    upload = _upload(call)
    limit = call.number("max-parts", 1000, 1000)
    after = call.number("part-number-marker", 0, MAX_PARTS)
    parts = [part for part in call.storage.uploads.parts(call.bucket, upload) if part.number > after]
    shown = parts[:limit]
    return document(
        "ListPartsResult",
        {
            "Bucket": call.bucket.name,
            "Key": upload.key,
            "UploadId": upload.upload_id,
            "PartNumberMarker": after,
            "NextPartNumberMarker": shown[-1].number if shown else 0,
            "MaxParts": limit,
            "IsTruncated": len(parts) > limit > 0,
            "Initiator": _OWNER,
            "Owner": _OWNER,
            "StorageClass": upload.headers.get("x-amz-storage-class", "STANDARD"),
            "ChecksumAlgorithm": upload.algorithm,
            "ChecksumType": upload.checksum_type,
            "Part": [
                {
                    "PartNumber": part.number,
                    "LastModified": iso_time(part.modified),
                    "ETag": f'"{part.etag}"',
                    "Size": part.size,
                    **_sums(upload, part),
                }
                for part in shown
            ],
        },
    )


def list_multipart_uploads(call: S3Call) -> Response:
    """Handle ListMultipartUploads, with prefix, delimiter and both markers."""
    query, encode = call.query, encoder(call.query.get("encoding-type"))
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    limit = call.number("max-uploads", 1000, 1000)
    key_marker, id_marker = query.get("key-marker", ""), query.get("upload-id-marker", "")
    uploads = [u for u in call.storage.uploads.all(call.bucket) if u.key.startswith(prefix)]
    if key_marker:
        ids = [u.upload_id for u in uploads if u.key == key_marker]
        later = ids[ids.index(id_marker) + 1 :] if id_marker in ids else []
        uploads = [u for u in uploads if u.key > key_marker or u.upload_id in later]
    shown: list[Upload] = []
    prefixes: list[str] = []
    last, truncated = ("", ""), False
    for upload in uploads:
        cut = upload.key.find(delimiter, len(prefix)) if delimiter else -1
        group = upload.key[: cut + len(delimiter)] if cut >= 0 else ""
        if group and (group in prefixes or key_marker.startswith(group)):
            continue
        if len(shown) + len(prefixes) == limit:
            truncated = limit > 0
            break
        if group:
            prefixes.append(group)
            last = (group, "")
        else:
            shown.append(upload)
            last = (upload.key, upload.upload_id)
    content: dict[str, Any] = {
        "Bucket": call.bucket.name,
        "KeyMarker": encode(key_marker),
        "UploadIdMarker": id_marker,
        "NextKeyMarker": encode(last[0]) if truncated else None,
        "NextUploadIdMarker": last[1] if truncated else None,
        "Prefix": encode(prefix),
        "Delimiter": encode(delimiter) if delimiter else None,
        "EncodingType": query.get("encoding-type"),
        "MaxUploads": limit,
        "IsTruncated": truncated,
        "Upload": [_described(upload, encode(upload.key)) for upload in shown],
        "CommonPrefixes": [{"Prefix": encode(group)} for group in prefixes],
    }
    return document("ListMultipartUploadsResult", content)


def _described(upload: Upload, key: str) -> dict[str, Any]:
    return {
        "Key": key,
        "UploadId": upload.upload_id,
        "Initiator": _OWNER,
        "Owner": _OWNER,
        "StorageClass": upload.headers.get("x-amz-storage-class", "STANDARD"),
        "Initiated": iso_time(upload.initiated),
        "ChecksumAlgorithm": upload.algorithm,
        "ChecksumType": upload.checksum_type,
    }


def _sums(upload: Upload, part: Part) -> dict[str, str]:
    return {f"Checksum{upload.algorithm}": part.checksums[upload.algorithm]}


def _upload(call: S3Call) -> Upload:
    return call.storage.uploads.get(call.bucket, call.key, call.query["uploadId"])


def _part_number(call: S3Call) -> int:
    number = call.query["partNumber"]
    if not re.fullmatch("[0-9]{1,5}", number) or not 1 <= int(number) <= MAX_PARTS:
        raise AwsError(
            "InvalidArgument",
            f"Part number must be an integer between 1 and {MAX_PARTS}, inclusive",
            400,
            {"ArgumentName": "partNumber", "ArgumentValue": number},
        )
    return int(number)
