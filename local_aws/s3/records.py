"""The metadata of objects, in one record file for each object.

The name of a record's file holds the hash of the key and the modification time of the data file. The record
is written before the data file is renamed into place, and is used only with that data file. So a crash at any
moment leaves the old object or the new one, and never the bytes of one with the ETag of the other. A file
that another program wrote, such as Spark, has no record; its ETag is derived from its size and time.
"""

# The os calls: pathlib doubles the cost of a small put or of a listed key.
# ruff: noqa: PTH103, PTH105, PTH108, PTH120, PTH123

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

NULL_VERSION = "null"
DEFAULT_TYPE = "binary/octet-stream"


@dataclass(frozen=True)
class ObjectRecord:
    """The metadata of one version of an object. ``etag`` has no quotes; ``headers`` are sent with each read.

    ``upload_id`` names the multipart upload that made the object, and ``parts`` holds the size in bytes and
    the {algorithm: base64} checksums of each of its parts. ``part_numbers`` are the
    numbers under which they were uploaded.
    """

    key: str
    size: int
    modified_ns: int
    etag: str
    version_id: str = NULL_VERSION
    headers: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    checksums: dict[str, str] = field(default_factory=dict)
    checksum_type: str = "FULL_OBJECT"
    parts: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    part_numbers: list[int] = field(default_factory=list)
    delete_marker: bool = False
    upload_id: str = ""

    def to_json(self) -> str:
        """Serialize the record to one line of JSON."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Parse the output of ``to_json``. Raises ValueError, TypeError or KeyError if it is incomplete."""
        document: dict[str, Any] = json.loads(text)
        document["parts"] = [(size, sums) for size, sums in document["parts"]]
        return cls(**document)

    @classmethod
    def derived(cls, key: str, stat: os.stat_result) -> Self:
        """Derive the record of a file that was not written through S3 from its size and time."""
        digest = hashlib.md5(f"{stat.st_size}-{stat.st_mtime_ns}".encode(), usedforsecurity=False)
        # "-1" tells clients, as for multipart uploads, that it is not the MD5 of the bytes
        return cls(
            key,
            stat.st_size,
            stat.st_mtime_ns,
            f"{digest.hexdigest()}-1",
            headers={"Content-Type": DEFAULT_TYPE},
        )


def key_hash(key: str) -> str:
    """Return the first 40 hex digits of the key's SHA-256, for file names."""
    return hashlib.sha256(key.encode()).hexdigest()[:40]


class ObjectRecords:
    """The records of the current objects of one bucket, below ``folder``."""

    def __init__(self, folder: Path, fsync: bool) -> None:
        self._folder = folder
        self._fsync = fsync

    def write(self, record: ObjectRecord, *, replace: bool = False) -> None:
        """Write a record before its data file is published. ``replace`` is for a published file."""
        path = self._path(record.key, record.modified_ns)
        target = f"{path}.{uuid.uuid4().hex}" if replace else path
        write_text(target, record.to_json(), self._fsync)
        if replace:
            os.replace(target, path)

    def read(self, key: str, stat: os.stat_result) -> ObjectRecord | None:
        """Return the record of the data file with status ``stat``, or None if it has none."""
        try:
            with open(self._path(key, stat.st_mtime_ns), encoding="utf-8") as file:
                record = ObjectRecord.from_json(file.read())
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return None
        return record if record.size == stat.st_size else None

    def remove(self, key: str, modified_ns: int) -> None:
        """Remove one record, if it exists."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path(key, modified_ns))

    def _path(self, key: str, modified_ns: int) -> str:
        name = key_hash(key)
        return f"{self._folder}/{name[:2]}/{name[2:]}.{modified_ns}"


def write_text(path: str, text: str, fsync: bool) -> None:
    """Write a file, and create its folder if it is missing."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            if fsync:
                file.flush()
                os.fsync(descriptor)
    except OSError:
        os.unlink(path)  # half a document is of no use, and a full disk needs the space
        raise
