"""Publishes, opens, tags and deletes objects and their versions."""

# The os calls: pathlib doubles the cost of a small put or of a listed key.
# ruff: noqa: PTH116

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from local_aws.errors import AwsError
from local_aws.s3.buckets import Bucket, Buckets
from local_aws.s3.names import check_key
from local_aws.s3.object_files import (
    ATTEMPTS,
    file_status,
    link_current,
    open_current,
    put_in_place,
    remove_current,
)
from local_aws.s3.records import NULL_VERSION, ObjectRecord
from local_aws.s3.versions import Archive

_STRIPES = 256

Precondition = Callable[[ObjectRecord | None], None]
"""A check of a write. It receives the current object or None under the key's lock, and raises AwsError."""


@dataclass
class Opened:
    """An object's record and its open file."""

    record: ObjectRecord
    file: BinaryIO


@dataclass(frozen=True)
class Deleted:
    """The result of a delete: the version that it added or removed, '' in a bucket without versions."""

    version_id: str = ""
    delete_marker: bool = False


class S3Store:
    """The objects of all buckets. Writers of a key take one of 256 locks; readers take none."""

    def __init__(self, buckets: Buckets, fsync: bool) -> None:
        self._buckets = buckets
        self._fsync = fsync
        self._stripes = [threading.RLock() for _ in range(_STRIPES)]
        self._clock_lock = threading.Lock()
        self._last_ns = 0

    def lock(self, bucket: Bucket, key: str) -> threading.RLock:
        """Return the lock that writers of ``key`` must hold."""
        return self._stripes[hash((bucket.name, key)) % _STRIPES]

    def archive(self, bucket: Bucket) -> Archive:
        """Return the archive of the bucket's older versions."""
        return Archive(bucket.beside / "versions", self._fsync)

    # ---- reading --------------------------------------------------------------
    def current(self, bucket: Bucket, key: str) -> ObjectRecord | None:
        """Return the record of the current object, or None if there is none or a delete marker hides it."""
        try:
            opened = self.open(bucket, key)
        except AwsError as error:
            if error.code in ("NoSuchKey", "KeyTooLongError"):
                return None
            raise
        opened.file.close()
        return opened.record

    def open(self, bucket: Bucket, key: str, version_id: str | None = None) -> Opened:
        """Open an object in one version, by default the current one.

        Raises AwsError NoSuchKey or NoSuchVersion, or MethodNotAllowed for a delete marker.
        """
        check_key(key)
        if version_id is not None:
            return self._open_version(bucket, key, version_id)
        for _ in range(ATTEMPTS):
            try:
                file = open_current(bucket, key)
            except FileNotFoundError:
                raise self._no_such_key(bucket, key) from None
            stat = os.fstat(file.fileno())
            record = bucket.records.read(key, stat)
            if record is not None:
                return Opened(record, file)
            # no record: another program wrote it, or it was replaced between open and read
            now = file_status(bucket, key)
            if now is not None and now.st_mtime_ns == stat.st_mtime_ns:
                return Opened(ObjectRecord.derived(key, stat), file)
            file.close()
        raise AwsError("SlowDown", f"{key} is replaced faster than it can be read; try again.", 503)

    def made_by(self, bucket: Bucket, key: str, upload_id: str) -> ObjectRecord | None:
        """Return the object or version that a multipart upload made, if it still exists."""
        current = self.current(bucket, key)
        if current is not None and current.upload_id == upload_id:
            return current
        kept = self.archive(bucket).of(key) if bucket.versioned else ()
        return next((record for record in kept if record.upload_id == upload_id), None)

    def _open_version(self, bucket: Bucket, key: str, version_id: str) -> Opened:
        with self.lock(bucket, key):
            current = self.current(bucket, key)
            if current is not None and current.version_id == version_id:
                return self.open(bucket, key)
            archive = self.archive(bucket)
            record = archive.find(key, version_id)
            if record is None:
                raise AwsError(
                    "NoSuchVersion",
                    "The specified version does not exist.",
                    404,
                    {"Key": key, "VersionId": version_id},
                )
            if record.delete_marker:
                headers = {"x-amz-delete-marker": "true", "x-amz-version-id": version_id}
                raise AwsError("MethodNotAllowed", "The version is a delete marker.", 405, headers=headers)
            return Opened(record, archive.open(record))

    def _no_such_key(self, bucket: Bucket, key: str) -> AwsError:
        headers = {}
        if bucket.versioned:
            newest = self.archive(bucket).newest(key)
            if newest is not None and newest.delete_marker:
                headers = {"x-amz-delete-marker": "true", "x-amz-version-id": newest.version_id}
        return AwsError("NoSuchKey", "The specified key does not exist.", 404, {"Key": key}, headers)

    # ---- writing --------------------------------------------------------------
    def publish(
        self, bucket: Bucket, record: ObjectRecord, temporary: Path, check: Precondition | None = None
    ) -> ObjectRecord:
        """Rename ``temporary`` to the current object of ``record.key``, atomically.

        Return ``record`` with its time and version. If ``check`` raises, ``temporary`` is removed.
        """
        key = record.key
        check_key(key)
        with self.lock(bucket, key):
            try:
                previous = self.current(bucket, key) if check or bucket.versioned else None
                if check:
                    check(previous)
                record = replace(
                    record, modified_ns=self._stamp(temporary), version_id=self._new_version(bucket)
                )
                bucket.names.remember(key)
                bucket.records.write(record)
                try:
                    if previous is not None and bucket.versioned and self._keeps(bucket, previous):
                        self._keep(bucket, previous)
                    replaced = put_in_place(bucket, key, temporary, fsync=self._fsync)
                except BaseException:
                    bucket.records.remove(key, record.modified_ns)
                    raise
            finally:
                temporary.unlink(missing_ok=True)
            for modified_ns in replaced:
                bucket.records.remove(key, modified_ns)
            if bucket.versioned and record.version_id == NULL_VERSION:
                self.archive(bucket).remove(key, NULL_VERSION)
        return record

    def retag(self, bucket: Bucket, key: str, version_id: str | None, tags: dict[str, str]) -> ObjectRecord:
        """Replace the tags of an object."""
        with self.lock(bucket, key):
            opened = self.open(bucket, key, version_id)
            opened.file.close()
            record = replace(opened.record, tags=tags)
            current = self.current(bucket, key)
            if current is not None and current.version_id == record.version_id:
                bucket.records.write(record, replace=True)
            else:
                self.archive(bucket).rewrite(record)
        return record

    # ---- deleting -------------------------------------------------------------
    def delete(
        self, bucket: Bucket, key: str, version_id: str | None = None, check: Precondition | None = None
    ) -> Deleted:
        """Delete an object or one version of it. In a bucket with versions, a delete marker hides the object.

        A missing object is no error. Raises AwsError if ``check`` does.
        """
        check_key(key)
        with self.lock(bucket, key):
            current = self.current(bucket, key)
            if check:
                check(current)
            if version_id is not None:
                return self._delete_version(bucket, key, version_id, current)
            if not bucket.versioned:
                if current is not None:
                    self._unlink(bucket, current)
                return Deleted()
            archive = self.archive(bucket)
            marker = ObjectRecord(key, 0, self._now_ns(), "", self._new_version(bucket), delete_marker=True)
            if current is not None and self._keeps(bucket, current):
                self._keep(bucket, current)
            archive.add_marker(marker)
            if current is not None:
                self._unlink(bucket, current)
            return Deleted(marker.version_id, True)

    def _delete_version(
        self, bucket: Bucket, key: str, version_id: str, current: ObjectRecord | None
    ) -> Deleted:
        archive = self.archive(bucket)
        newest = archive.newest(key)
        if current is not None and current.version_id == version_id:
            archive.remove(key, version_id)
            self._unlink(bucket, current)
            current = None
        else:
            removed = archive.find(key, version_id)
            archive.remove(key, version_id)
            if removed is None or current is not None or removed != newest:
                return Deleted(version_id, bool(removed and removed.delete_marker))
        # the newest version was removed, so the next older one becomes current
        promoted = archive.newest(key)
        if promoted is not None and not promoted.delete_marker:
            self._promote(bucket, archive, promoted)
        return Deleted(version_id, bool(newest and newest.delete_marker and newest.version_id == version_id))

    def _promote(self, bucket: Bucket, archive: Archive, record: ObjectRecord) -> None:
        link = self._buckets.temporary / uuid.uuid4().hex
        os.link(archive.data(record), link)
        bucket.records.write(record)
        put_in_place(bucket, record.key, link, fsync=self._fsync)
        archive.remove(record.key, record.version_id)

    def _keep(self, bucket: Bucket, record: ObjectRecord) -> None:
        """Keep the current file as the version of ``record`` before it is replaced."""
        link = self._buckets.temporary / uuid.uuid4().hex
        link_current(bucket, record.key, link)
        self.archive(bucket).keep(record, link)

    @staticmethod
    def _unlink(bucket: Bucket, record: ObjectRecord) -> None:
        remove_current(bucket, record.key)
        bucket.records.remove(record.key, record.modified_ns)

    # ---- time and versions ------------------------------------------------------
    @staticmethod
    def _keeps(bucket: Bucket, previous: ObjectRecord) -> bool:
        """Return True if ``previous`` becomes a noncurrent version when it is replaced.

        Suspended versioning overwrites the null version.
        """
        return bucket.record.versioning == "Enabled" or previous.version_id != NULL_VERSION

    @staticmethod
    def _new_version(bucket: Bucket) -> str:
        return uuid.uuid4().hex if bucket.record.versioning == "Enabled" else NULL_VERSION

    def _now_ns(self) -> int:
        with self._clock_lock:
            self._last_ns = max(time.time_ns(), self._last_ns + 1)
            return self._last_ns

    def _stamp(self, temporary: Path) -> int:
        """Set a modification time that no other object has. Return it in ns, as the file system rounds it."""
        stamp = self._now_ns()
        os.utime(temporary, ns=(stamp, stamp))
        return os.stat(temporary).st_mtime_ns
