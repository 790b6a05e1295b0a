"""Stage a shard as a multipart upload in S3, which is itself the state of the fetch.

A worker needs memory for two parts and no disk, and a lost worker loses at most the part that it was filling.
S3 shows neither the metadata of an unfinished upload nor the bytes of its parts. A small separate object
therefore records which version of the source the parts are of. Checksums are computed from the object that
the parts become (``include.ingest.verification``), because another process could not continue a hash, and
because this covers the bytes that S3 really keeps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from include.contracts.errors import ContractError
from include.contracts.storage import IngestionLayout, S3Uri
from include.ingest.errors import SourceRefused
from include.ingest.ranges import Validator
from include.object_store import ObjectStore, UploadAbsent
from include.object_store.multipart import MOST_PARTS, MultipartUpload, Part

#: The limit of ingestion.part_mib. With it a shard may have 4.88 TiB, just below the 5 TiB of S3.
_LARGEST_PART_BYTES = 512 << 20


@dataclass(frozen=True)
class UploadRecord:
    """The record of an unfinished upload: its URL, version and part size."""

    url: str
    upload_id: str
    part_bytes: int
    etag: str
    last_modified: str
    size_bytes: int | None

    @property
    def validator(self) -> Validator:
        """The version of the parts."""
        return Validator(self.etag, self.last_modified, self.size_bytes)


class StagedUpload:
    """The partial file of one shard. Part n always holds the same bytes, so two writers cannot spoil it."""

    offset: int
    safe: int
    validator: Validator
    is_finished: bool
    _upload: MultipartUpload | None
    _part_bytes: int
    _parts: list[Part]
    _buffer: bytearray

    def __init__(self, store: ObjectStore, target: S3Uri, url: str, part_bytes: int) -> None:
        """Continue what an earlier try left if it is of this URL; ``part_bytes`` is for a new upload."""
        self._store = store
        self._layout = IngestionLayout(target.bucket)
        self.target = target
        self.uri = self._layout.staged(target)
        self._url = url
        self._wanted_part_bytes = part_bytes
        self._reset()
        self._take_up()

    def adopt(self, validator: Validator) -> None:
        """Set the version of the bytes that follow. Its size decides how large the parts are.

        The server names the size. Raises SourceRefused if it needs larger parts than fit in memory.
        """
        needed = -(-(validator.size_bytes or 0) // MOST_PARTS)
        if needed > _LARGEST_PART_BYTES:
            raise SourceRefused(
                "the server announces more than fits into one object of S3",
                where=self._url,
                expected=f"at most {MOST_PARTS * _LARGEST_PART_BYTES} bytes",
                got=f"{validator.size_bytes} bytes",
                remedy="correct the source, or leave the shard out with exclude",
            )
        self.validator = validator
        self._part_bytes = max(self._wanted_part_bytes, needed)

    def write(self, chunk: bytes) -> None:
        """Keep bytes; send every full part to S3."""
        self._buffer += chunk
        self.offset += len(chunk)
        while len(self._buffer) >= self._part_bytes:
            with memoryview(self._buffer) as view:
                part = bytes(view[: self._part_bytes])
            self._send(part)
            del self._buffer[: self._part_bytes]

    def clear(self) -> None:
        """Abort the upload and clear its version."""
        if self._upload:
            if not self.is_finished:
                self._upload.abort()
            self._forget()
        self._reset()

    def finish(self) -> None:
        """Turn the parts into an object at the staging key."""
        if self.is_finished:
            return
        if self._upload is None:
            self._store.write(self.uri, bytes(self._buffer), self._metadata())
        else:
            if self._buffer:
                self._send(bytes(self._buffer))
            self._upload.complete(self._parts)
        self._buffer.clear()
        self.is_finished = True

    def discard(self) -> None:
        """Delete everything that is staged for this shard."""
        # the record is deleted last: by it the plan finds what a lost worker left
        self._store.delete(self.uri)
        self.clear()

    # ---- state ------------------------------------------------------------
    def _reset(self) -> None:
        self.offset = 0
        self.safe = 0
        self.validator = Validator()
        self.is_finished = False
        self._upload = None
        self._part_bytes = self._wanted_part_bytes
        self._parts = []
        self._buffer = bytearray()

    def _take_up(self) -> None:
        record = load_upload_record(self._store, self.target)
        if self._take_up_object():
            if record:
                self._upload = self._store.resume_upload(self.uri, record.upload_id)
            return
        if record is None or record.url != self._url:
            # uploads of another URL, or of a try that died before it wrote its record
            for upload in self._store.unfinished_uploads(self.uri):
                upload.abort()
            self._forget()
            return
        upload = self._store.resume_upload(self.uri, record.upload_id)
        try:
            parts = upload.parts()
        except UploadAbsent:  # a lifecycle rule aborted it
            self._forget()
            return
        self.validator = record.validator
        self._part_bytes = record.part_bytes
        self._upload = upload
        self._parts = whole_parts(parts, record.part_bytes)
        self.offset = self.safe = len(self._parts) * record.part_bytes

    def _take_up_object(self) -> bool:
        """Continue with the complete object of a try that died between its last part and the verification."""
        found = self._store.find(self.uri)
        if found is None:
            return False
        size, metadata = found.size_bytes, found.metadata
        if metadata.get("source-url") != self._url:
            self._store.delete(self.uri)
            return False
        self.validator = Validator(metadata.get("source-etag", ""), metadata.get("source-modified", ""), size)
        self.offset = self.safe = size
        self.is_finished = True
        return True

    def _send(self, body: bytes) -> None:
        upload = self._upload or self._begin()
        number = len(self._parts) + 1
        if number > MOST_PARTS:
            self.clear()  # parts of another size start again
            raise SourceRefused(
                "the file needs more parts than S3 takes",
                where=self._url,
                expected=f"at most {MOST_PARTS} parts of {self._part_bytes} bytes",
                remedy="raise ingestion.part_mib in the settings",
            )
        self._parts.append(upload.send(number, body))
        self.safe += len(body)

    def _begin(self) -> MultipartUpload:
        self._upload = upload = self._store.begin_upload(self.uri, self._metadata())
        version = self.validator
        record = UploadRecord(
            self._url,
            upload.upload_id,
            self._part_bytes,
            version.etag,
            version.last_modified,
            version.size_bytes,
        )
        self._store.write_record(self._layout.upload_record(self.target), record)
        return upload

    def _metadata(self) -> dict[str, str]:
        version = {"source-etag": self.validator.etag, "source-modified": self.validator.last_modified}
        return {"source-url": self._url, **{k: v for k, v in version.items() if v and v.isascii()}}

    def _forget(self) -> None:
        self._store.delete(self._layout.upload_record(self.target))


def load_upload_record(store: ObjectStore, target: S3Uri) -> UploadRecord | None:
    """Return the unfinished upload for ``target``; None if there is none, or its record cannot be read."""
    uri = IngestionLayout(target.bucket).upload_record(target)
    if not store.exists(uri):
        return None
    try:
        return store.read_record(UploadRecord, uri)
    except ContractError:  # of another release: its upload is aborted, and the shard is fetched again
        return None


def whole_parts(listed: Sequence[Part], part_bytes: int) -> list[Part]:
    """Return the parts from the first on without a gap, each whole; a short last one is fetched again.

    Only a finished file may end in a short part, and whether it is finished is not known here.
    """
    kept: list[Part] = []
    for part in sorted(listed, key=lambda part: part.number):
        if part.number != len(kept) + 1 or part.size_bytes != part_bytes:
            break
        kept.append(part)
    return kept
