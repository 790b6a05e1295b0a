"""Stores noncurrent versions and delete markers in ``versions/<hash of the key>/<version id>``."""

# The os calls: pathlib doubles the cost of a small put or of a listed key.
# ruff: noqa: PTH105

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from local_aws.s3.records import ObjectRecord, key_hash, write_text


class Archive:
    """The noncurrent versions of one bucket. Callers must hold the key's lock when they write."""

    def __init__(self, folder: Path, fsync: bool) -> None:
        self._folder = folder
        self._fsync = fsync

    def keep(self, record: ObjectRecord, link: Path) -> None:
        """Rename the file ``link`` into the archive, as the version of ``record``."""
        self._write(record)
        link.replace(self.data(record))

    def add_marker(self, record: ObjectRecord) -> None:
        """Store a delete marker as the newest version."""
        if self.find(record.key, record.version_id) is not None:
            self.remove(record.key, record.version_id)
        self._write(record)

    def rewrite(self, record: ObjectRecord) -> None:
        """Replace the record of a stored version."""
        self._write(record)

    def newest(self, key: str) -> ObjectRecord | None:
        """Return the newest stored version of ``key``, which may be a delete marker."""
        return max(self.of(key), key=lambda record: record.modified_ns, default=None)

    def find(self, key: str, version_id: str) -> ObjectRecord | None:
        """Return one version of ``key``, or None if it is not stored here."""
        return next((record for record in self.of(key) if record.version_id == version_id), None)

    def of(self, key: str) -> list[ObjectRecord]:
        """Return all stored versions of ``key``."""
        return list(self._read(self._place(key)))

    def all(self) -> Iterator[ObjectRecord]:
        """Yield the stored versions of all keys, in arbitrary order."""
        for folder in self._folder.glob("*/*"):
            yield from self._read(folder)

    def open(self, record: ObjectRecord) -> BinaryIO:
        """Open the data file of a stored version, unbuffered."""
        return self.data(record).open("rb", buffering=0)  # type: ignore[return-value]

    def data(self, record: ObjectRecord) -> Path:
        """Return the path of the data file of a stored version."""
        return self._place(record.key) / f"{record.version_id}.data"

    def remove(self, key: str, version_id: str) -> None:
        """Remove one version. A missing version is no error."""
        folder = self._place(key)
        (folder / f"{version_id}.json").unlink(missing_ok=True)
        (folder / f"{version_id}.data").unlink(missing_ok=True)
        for empty in (folder, folder.parent):
            with contextlib.suppress(OSError):
                empty.rmdir()

    def _write(self, record: ObjectRecord) -> None:
        folder = self._place(record.key)
        target = folder / f"{record.version_id}.json"
        temporary = folder / f"{uuid.uuid4().hex}.new"
        write_text(str(temporary), record.to_json(), self._fsync)
        os.replace(temporary, target)

    @staticmethod
    def _read(folder: Path) -> Iterator[ObjectRecord]:
        for path in folder.glob("*.json"):
            with contextlib.suppress(FileNotFoundError, ValueError, TypeError, KeyError):
                record = ObjectRecord.from_json(path.read_text())
                # after a crash between record and data file, the version is still the current one
                if record.delete_marker or path.with_suffix(".data").exists():
                    yield record

    def _place(self, key: str) -> Path:
        name = key_hash(key)
        return self._folder / name[:2] / name[2:]
