"""Multipart uploads of S3 that another process can continue: S3 itself keeps the parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from include.contracts.storage import S3Uri
from include.object_store.errors import UploadAbsent, readable_errors

MOST_PARTS = 10_000


@dataclass(frozen=True)
class Part:
    """A part that S3 holds; ``number`` counts from 1."""

    number: int
    size_bytes: int
    etag: str


class MultipartUpload:
    """One unfinished upload. Its object appears when ``complete`` returns, and not before."""

    def __init__(self, client: Any, at: S3Uri, upload_id: str) -> None:
        self._client, self._at = client, at
        self.upload_id = upload_id
        self._parameters = {"Bucket": at.bucket, "Key": at.key, "UploadId": upload_id}

    @classmethod
    def begin(cls, client: Any, at: S3Uri, metadata: Mapping[str, str]) -> MultipartUpload:
        """Start an upload; ``metadata`` is that of the object to come."""
        with readable_errors(at):
            created = client.create_multipart_upload(Bucket=at.bucket, Key=at.key, Metadata=dict(metadata))
        return cls(client, at, created["UploadId"])

    @classmethod
    def unfinished(cls, client: Any, at: S3Uri) -> list[MultipartUpload]:
        """Return all unfinished uploads to exactly this key."""
        pages = client.get_paginator("list_multipart_uploads").paginate(Bucket=at.bucket, Prefix=at.key)
        with readable_errors(at):
            found = [entry for page in pages for entry in page.get("Uploads", ())]
        return [cls(client, at, entry["UploadId"]) for entry in found if entry["Key"] == at.key]

    def parts(self) -> list[Part]:
        """Return the parts by number. Raises UploadAbsent if the upload is over."""
        pages = self._client.get_paginator("list_parts").paginate(**self._parameters)
        with readable_errors(self._at):
            listed = [part for page in pages for part in page.get("Parts", ())]
        parts = [Part(int(part["PartNumber"]), int(part["Size"]), part["ETag"]) for part in listed]
        return sorted(parts, key=lambda part: part.number)

    def send(self, number: int, content: bytes) -> Part:
        """Upload one part, or replace it."""
        with readable_errors(self._at):
            sent = self._client.upload_part(**self._parameters, PartNumber=number, Body=content)
        return Part(number, len(content), sent["ETag"])

    def complete(self, parts: Sequence[Part]) -> None:
        """Make these parts the object."""
        named = [{"PartNumber": part.number, "ETag": part.etag} for part in parts]
        with readable_errors(self._at):
            self._client.complete_multipart_upload(**self._parameters, MultipartUpload={"Parts": named})

    def abort(self) -> None:
        """Delete the parts; an upload that is over already is no error."""
        try:
            with readable_errors(self._at):
                self._client.abort_multipart_upload(**self._parameters)
        except UploadAbsent:
            pass
