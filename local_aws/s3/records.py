"""What is known of an object besides its bytes, and where that is kept.

A record lies in a file named for the key's hash and the modification time of the data file that it
describes. So it is written before the data file is renamed into place and counts only with it: a crash
at any moment leaves the old object or the new one, never the bytes of one with the ETag of the other.
A file that another program wrote (Spark) has no record of its time; its ETag comes from size and time.
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
    """One version of an object; ``etag`` without quotes, ``headers`` as they are sent back.

    ``upload_id`` names the multipart upload that made the object, and ``parts`` holds the size in bytes and
    the {algorithm: base64} checksums of each of its parts.
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
    delete_marker: bool = False
    upload_id: str = ""

    def to_json(self) -> str:
        """As one line of JSON."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """From ``to_json``; ValueError or TypeError when it is torn."""
        document: dict[str, Any] = json.loads(text)
        document["parts"] = [(size, sums) for size, sums in document["parts"]]
        return cls(**document)

    @classmethod
    def derived(cls, key: str, stat: os.stat_result) -> Self:
        """The record of a file that was not written through S3."""
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
    """A file-name-sized stand-in for a key."""
    return hashlib.sha256(key.encode()).hexdigest()[:40]


class Records:
    """The records of one bucket's current objects, under ``folder``."""

    def __init__(self, folder: Path, fsync: bool) -> None:
        self._folder = folder
        self._fsync = fsync

    def write(self, record: ObjectRecord, *, replace: bool = False) -> None:
        """Write before the data file is published; ``replace`` rewrites the record of one that is."""
        path = self._path(record.key, record.modified_ns)
        target = f"{path}.{uuid.uuid4().hex}" if replace else path
        write_text(target, record.to_json(), self._fsync)
        if replace:
            os.replace(target, path)

    def read(self, key: str, stat: os.stat_result) -> ObjectRecord | None:
        """The record of the data file with ``stat``; None when it was not written through S3."""
        try:
            with open(self._path(key, stat.st_mtime_ns), encoding="utf-8") as file:
                record = ObjectRecord.from_json(file.read())
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return None
        return record if record.size == stat.st_size else None

    def remove(self, key: str, modified_ns: int) -> None:
        """Forget one record."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path(key, modified_ns))

    def _path(self, key: str, modified_ns: int) -> str:
        name = key_hash(key)
        return f"{self._folder}/{name[:2]}/{name[2:]}.{modified_ns}"


def write_text(path: str, text: str, fsync: bool) -> None:
    """Write a file, making its folder on demand."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        if fsync:
            file.flush()
            os.fsync(descriptor)
