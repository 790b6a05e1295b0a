"""Stores multipart uploads in ``root/.s3/<bucket>/uploads/<id>/``: the request, and two files for each part.

A part exists when its record does, and the record names the file with its bytes. So uploading a part again
replaces it atomically: a crash leaves the old part or the new one.
"""

# The os calls: pathlib doubles the cost of a small put or of a listed key.
# ruff: noqa: PTH105, PTH123

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from local_aws.errors import AwsError
from local_aws.s3.buckets import Bucket, Buckets
from local_aws.s3.completion import Completion, Part, Upload, check_claims, chosen_parts, joined
from local_aws.s3.ingest import Received
from local_aws.s3.records import ObjectRecord, write_text
from local_aws.s3.store import Precondition, S3Store


class Uploads:
    """The multipart uploads of all buckets."""

    def __init__(self, buckets: Buckets, store: S3Store, fsync: bool) -> None:
        self._buckets = buckets
        self._store = store
        self._fsync = fsync
        self._locks: dict[str, threading.Lock] = {}
        self._locks_lock = threading.Lock()

    def create(self, bucket: Bucket, upload: Upload) -> None:
        """Store a new upload."""
        folder = self._folder(bucket, upload.upload_id)
        folder.mkdir(parents=True)
        self._write(folder / "upload.json", asdict(upload))

    def get(self, bucket: Bucket, key: str, upload_id: str) -> Upload:
        """Return an upload in progress. Raises AwsError NoSuchUpload if there is none of this key and id."""
        missing = AwsError(
            "NoSuchUpload",
            "The specified upload does not exist. The upload ID may be invalid, or the upload may have been "
            "aborted or completed.",
            404,
            {"UploadId": upload_id},
        )
        if not upload_id.isalnum():
            raise missing
        try:
            text = (self._folder(bucket, upload_id) / "upload.json").read_text()
        except FileNotFoundError:
            raise missing from None
        upload = Upload(**json.loads(text))
        if upload.key != key:
            raise missing
        return upload

    def all(self, bucket: Bucket) -> list[Upload]:
        """Return all uploads in progress, ordered by key and time of initiation."""
        uploads = []
        for path in (bucket.beside / "uploads").glob("*/upload.json"):
            with contextlib.suppress(FileNotFoundError):
                uploads.append(Upload(**json.loads(path.read_text())))
        return sorted(uploads, key=lambda u: (u.key, u.initiated, u.upload_id))

    def add_part(self, bucket: Bucket, upload: Upload, number: int, received: Received) -> Part:
        """Store the received bytes as a part. It replaces an earlier part of the same number."""
        folder = self._folder(bucket, upload.upload_id)
        part = Part(
            number,
            received.size,
            received.md5.hex(),
            time.time(),
            received.checksums,
            f"{uuid.uuid4().hex}.bin",
        )
        with self._lock(upload.upload_id):
            previous = self._part(folder, number)
            try:
                os.replace(received.temporary, folder / part.file)
            except FileNotFoundError:
                received.discard()
                self.get(bucket, upload.key, upload.upload_id)  # raises NoSuchUpload if it was aborted
                raise
            try:
                self._write(folder / _record_name(number), asdict(part))
            except BaseException:
                (folder / part.file).unlink(missing_ok=True)  # a full disk needs the space
                raise
            if previous is not None:
                (folder / previous.file).unlink(missing_ok=True)
        return part

    def parts(self, bucket: Bucket, upload: Upload) -> list[Part]:
        """Return the uploaded parts, ordered by number."""
        folder = self._folder(bucket, upload.upload_id)
        numbers = sorted(int(path.stem) for path in folder.glob("[0-9]*.json"))
        return [part for number in numbers if (part := self._part(folder, number)) is not None]

    def abort(self, bucket: Bucket, upload: Upload) -> None:
        """Remove an upload and its parts."""
        with self._lock(upload.upload_id):
            self._remove(bucket, upload.upload_id)

    def complete(
        self,
        bucket: Bucket,
        key: str,
        upload_id: str,
        completion: Completion,
        check: Precondition | None,
    ) -> ObjectRecord:
        """Join the named parts into the object and return its record.

        The upload is removed after that, and kept if this fails. Completing an upload again returns the
        record of the object that it made, as long as that object (or version) exists. Raises AwsError.
        """
        with self._lock(upload_id):
            if (made := self._store.made_by(bucket, key, upload_id)) and completion.named_all_of(made):
                check_claims(completion, made)
                self._remove(bucket, upload_id)  # a crash may have kept it
                return made
            upload = self.get(bucket, key, upload_id)
            sent = {part.number: part for part in self.parts(bucket, upload)}
            parts = chosen_parts(upload, sent, completion)
            record = joined(upload, parts, completion)
            temporary = self._buckets.temporary / uuid.uuid4().hex
            folder = self._folder(bucket, upload_id)
            try:
                _concatenate([folder / part.file for part in parts], temporary, self._fsync)
                record = self._store.publish(bucket, record, temporary, check)
            finally:
                temporary.unlink(missing_ok=True)
            self._remove(bucket, upload_id)
        return record

    def _remove(self, bucket: Bucket, upload_id: str) -> None:
        folder = self._folder(bucket, upload_id)
        (folder / "upload.json").unlink(missing_ok=True)  # first, so that an interrupted removal counts
        shutil.rmtree(folder, ignore_errors=True)
        with self._locks_lock:
            self._locks.pop(upload_id, None)

    def _part(self, folder: Path, number: int) -> Part | None:
        try:
            return Part(**json.loads((folder / _record_name(number)).read_text()))
        except FileNotFoundError:
            return None

    def _write(self, path: Path, document: dict[str, Any]) -> None:
        temporary = self._buckets.temporary / uuid.uuid4().hex
        try:
            write_text(str(temporary), json.dumps(document), self._fsync)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _lock(self, upload_id: str) -> Iterator[None]:
        with self._locks_lock:
            lock = self._locks.setdefault(upload_id, threading.Lock())
        with lock:
            yield

    @staticmethod
    def _folder(bucket: Bucket, upload_id: str) -> Path:
        return bucket.beside / "uploads" / upload_id


def _record_name(number: int) -> str:
    return f"{number:05d}.json"


def _concatenate(sources: Sequence[Path], target: Path, fsync: bool) -> None:
    """Write ``sources`` one after the other to ``target``. The kernel copies the bytes."""
    with open(target, "xb", buffering=0) as out:
        for source in sources:
            with open(source, "rb", buffering=0) as file:
                copy_range(file.fileno(), out.fileno(), 0, os.fstat(file.fileno()).st_size)
        if fsync:
            os.fsync(out.fileno())


def copy_range(source: int, target: int, offset: int, length: int) -> None:
    """Append ``length`` bytes of ``source`` from ``offset`` to ``target``. The kernel copies the bytes."""
    end = offset + length
    while offset < end:
        try:
            count = os.copy_file_range(source, target, end - offset, offset)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
                raise
            count = os.sendfile(target, source, offset, end - offset)
        if not count:
            raise OSError(f"cannot copy: the source file ends {end - offset} bytes early")
        offset += count
