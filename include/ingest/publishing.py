"""The last step of a shard: from staging to its place, or to the quarantine with a note."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from include.aws.clients import unless
from include.aws.storage import ObjectStore
from include.contracts.ingestion import BatchRequest, QuarantineNote, Shard
from include.contracts.storage import IngestionLayout, S3Uri
from include.ingest.errors import ShardMismatch
from include.ingest.verification import Digests, published

#: S3 copies at most 5 GiB in one call; 1 GiB is copied well within the client's read timeout.
LARGEST_COPY_BYTES = 1 << 30
_COPY_PART_BYTES = 1 << 30


def metadata_of(s3: Any, uri: S3Uri) -> tuple[int, dict[str, str]] | None:
    """Size and metadata of an object, None when there is none."""
    try:
        found = s3.head_object(Bucket=uri.bucket, Key=uri.key)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("404", "NoSuchKey"):
            raise
        return None
    return found["ContentLength"], found["Metadata"]


def shard_metadata(shard: Shard, batch: BatchRequest, digests: Digests, etag: str) -> dict[str, str]:
    """What travels with a shard; the presence of ``sha256`` says that ingestion verified it.

    ``etag`` is the server's name of the version, '' where it gave none.
    """
    optional = {"md5": digests.md5, "source-etag": etag}
    return {
        "sha256": digests.sha256,
        **{name: value for name, value in optional.items() if value},
        "published-checksum": published(shard),
        "source": batch.source,
        "source-url": shard.url,
        "licence": batch.licence,
        "retrieved-at": now(),
        "run": batch.run,
    }


def publish(s3: Any, staged: S3Uri, target: S3Uri, digests: Digests, metadata: dict[str, str]) -> None:
    """Copy inside S3 exactly the bytes that were verified; the shard appears whole and at once."""
    if digests.size_bytes <= LARGEST_COPY_BYTES:
        s3.copy_object(
            Bucket=target.bucket,
            Key=target.key,
            CopySource=_source(staged),
            CopySourceIfMatch=digests.etag,
            Metadata=metadata,
            MetadataDirective="REPLACE",
        )
    else:
        _copy_in_parts(s3, staged, target, digests, metadata)


def quarantine(
    s3: Any, found: S3Uri, shard: Shard, source: str, mismatch: ShardMismatch, digests: Digests | None
) -> S3Uri:
    """Move what came out of every reader's sight, and write down what was expected; returns the note."""
    place = IngestionLayout(found.bucket)
    note = place.note(source, shard.name)
    if digests is not None:
        metadata = {"sha256": digests.sha256, "source": source, "source-url": shard.url}
        publish(s3, found, place.quarantine(source, shard.name), digests, metadata)
        s3.delete_object(Bucket=found.bucket, Key=found.key)
    record = QuarantineNote(
        source=source,
        name=shard.name,
        url=shard.url,
        what=mismatch.what,
        expected=mismatch.expected,
        got=mismatch.got,
        size_bytes=digests.size_bytes if digests else 0,
        sha256=digests.sha256 if digests else "",
        retrieved_at=now(),
    )
    ObjectStore(s3).write_record(note, record)
    return note


def now() -> str:
    """UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _copy_in_parts(s3: Any, staged: S3Uri, target: S3Uri, digests: Digests, metadata: dict[str, str]) -> None:
    place = {"Bucket": target.bucket, "Key": target.key}
    upload = {**place, "UploadId": s3.create_multipart_upload(**place, Metadata=metadata)["UploadId"]}
    try:
        parts = []
        for number, first in enumerate(range(0, digests.size_bytes, _COPY_PART_BYTES), 1):
            last = min(first + _COPY_PART_BYTES, digests.size_bytes) - 1
            copied = s3.upload_part_copy(
                **upload,
                PartNumber=number,
                CopySource=_source(staged),
                CopySourceIfMatch=digests.etag,
                CopySourceRange=f"bytes={first}-{last}",
            )
            parts.append({"PartNumber": number, "ETag": copied["CopyPartResult"]["ETag"]})
        s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    except BaseException:
        # gone already is as good, and must not stand before what went wrong
        unless("NoSuchUpload", s3.abort_multipart_upload, **upload)
        raise


def _source(uri: S3Uri) -> dict[str, str]:
    return {"Bucket": uri.bucket, "Key": uri.key}
