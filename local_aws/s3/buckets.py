"""Buckets: each is a folder ``root/<bucket>`` with a record in ``root/.s3/<bucket>``."""

# The os calls: pathlib doubles the cost of a small put or of a listed key.
# ruff: noqa: PTH106, PTH112

from __future__ import annotations

import errno
import json
import os
import shutil
import threading
import time
import uuid
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from local_aws.errors import AwsError
from local_aws.s3.names import Names, check_bucket_name
from local_aws.s3.records import ObjectRecords, write_text
from local_aws.settings import REGION


@dataclass(frozen=True)
class BucketRecord:
    """The settings of a bucket.

    ``versioning`` is '', 'Enabled' or 'Suspended', and ``created`` is in seconds since 1970. ``region`` is
    from the CreateBucket request, although all buckets are on this machine.
    """

    name: str
    created: float
    versioning: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    region: str = REGION


@dataclass(frozen=True)
class Bucket:
    """One bucket: its settings, and the folders of its objects and of its metadata (``beside``)."""

    record: BucketRecord
    folder: Path
    beside: Path
    names: Names
    records: ObjectRecords

    @property
    def name(self) -> str:
        """The name of the bucket."""
        return self.record.name

    @property
    def versioned(self) -> bool:
        """True if versioning is enabled, or was and is now suspended."""
        return bool(self.record.versioning)

    def path(self, key: str) -> str:
        """Return the data file of ``key``."""
        return self.names.path(self.folder, key)

    def path_aside(self, key: str) -> str:
        """Return the data file of ``key`` if a folder has the name of the plain file."""
        return self.names.path_aside(self.folder, key)


class Buckets:
    """The buckets under ``root``. Their records and uploads are in ``root/.s3/<bucket>``."""

    def __init__(self, root: Path, fsync: bool) -> None:
        self.root = root
        self.temporary = root / ".s3" / ".tmp"
        self._fsync = fsync
        self._lock = threading.Lock()
        self._known: dict[str, Bucket] = {}
        # files in this folder belong to requests of a process that was killed
        shutil.rmtree(self.temporary, ignore_errors=True)
        self.temporary.mkdir(parents=True)

    def get(self, name: str) -> Bucket:
        """Return a bucket by name. Raises AwsError NoSuchBucket."""
        bucket = self._known.get(name)
        if bucket is not None and os.path.isdir(bucket.folder):
            return bucket
        check_bucket_name(name)
        beside = self.root / ".s3" / name
        folder = self.root / name
        try:
            record = BucketRecord(**json.loads((beside / "bucket.json").read_text()))
        except FileNotFoundError:
            record = None
        if record is None or not folder.is_dir():
            self._known.pop(name, None)
            raise AwsError("NoSuchBucket", "The specified bucket does not exist", 404, {"BucketName": name})
        names = Names(beside / "names")
        bucket = Bucket(record, folder, beside, names, ObjectRecords(beside / "objects", self._fsync))
        self._known[name] = bucket
        return bucket

    def list(self) -> list[BucketRecord]:
        """Return the records of all buckets, ordered by name."""
        records = []
        for entry in sorted((self.root / ".s3").glob("*/bucket.json")):
            try:
                records.append(self.get(entry.parent.name).record)
            except AwsError:
                continue
        return records

    def create(self, name: str, region: str = REGION, tags: dict[str, str] | None = None) -> bool:
        """Create a bucket. Return False if it exists. An existing folder of that name becomes a bucket."""
        check_bucket_name(name)
        with self._lock:
            try:
                self.get(name)
                return False
            except AwsError as error:
                if error.code != "NoSuchBucket":
                    raise
            folder = self.root / name
            if folder.exists() and not folder.is_dir():
                raise AwsError("BucketAlreadyExists", f"{name} is a file in the root, not a bucket", 409)
            folder.mkdir(exist_ok=True)
            self._write(BucketRecord(name, time.time(), tags=tags or {}, region=region))
        return True

    def update(self, bucket: Bucket, **changes: object) -> None:
        """Change fields of the bucket's record."""
        with self._lock:
            self._write(replace(self.get(bucket.name).record, **changes))  # type: ignore[arg-type]

    def remove(self, bucket: Bucket) -> None:
        """Remove a bucket. Raises AwsError BucketNotEmpty, even if an object is written at this moment."""
        with self._lock:
            remove_empty_folders(str(bucket.folder))
            if any((bucket.beside / "versions").glob("*/*/*.json")):
                raise _not_empty(bucket.name, "it holds versions or delete markers")
            try:
                os.rmdir(bucket.folder)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                raise _not_empty(bucket.name, "it holds objects") from error
            self._known.pop(bucket.name, None)
            (bucket.beside / "bucket.json").unlink(missing_ok=True)
            shutil.rmtree(bucket.beside, ignore_errors=True)

    def _write(self, record: BucketRecord) -> None:
        target = self.root / ".s3" / record.name / "bucket.json"
        temporary = self.temporary / uuid.uuid4().hex
        write_text(str(temporary), json.dumps(asdict(record)), self._fsync)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.replace(target)
        self._known.pop(record.name, None)


def remove_empty_folders(folder: str) -> None:
    """Remove the folders below ``folder`` that hold no file at any depth. ``folder`` itself stays."""
    for current, _, _ in os.walk(folder, topdown=False):
        if current != folder:
            try:
                os.rmdir(current)
            except OSError:
                continue


def _not_empty(name: str, why: str) -> AwsError:
    return AwsError(
        "BucketNotEmpty", f"The bucket you tried to delete is not empty: {why}", 409, {"BucketName": name}
    )
