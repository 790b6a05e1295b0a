"""Versions that are not current, and delete markers: ``versions/<key's hash>/<version id>``."""

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
    """One bucket's archive. Callers hold the key's lock when they write."""

    def __init__(self, folder: Path, fsync: bool) -> None:
        self._folder = folder
        self._fsync = fsync

    def keep(self, record: ObjectRecord, link: Path) -> None:
        """Keep the file ``link``, which is gone after it, as the version of ``record``."""
        self._write(record)
        link.replace(self.data(record))

    def add_marker(self, record: ObjectRecord) -> None:
        """Put a delete marker in front of the other versions."""
        if self.find(record.key, record.version_id) is not None:
            self.remove(record.key, record.version_id)
        self._write(record)

    def rewrite(self, record: ObjectRecord) -> None:
        """Replace the record of a version that is kept."""
        self._write(record)

    def newest(self, key: str) -> ObjectRecord | None:
        """The newest kept version of ``key``, which may be a delete marker."""
        return max(self.of(key), key=lambda record: record.modified_ns, default=None)

    def find(self, key: str, version_id: str) -> ObjectRecord | None:
        """One version of ``key``."""
        return next((record for record in self.of(key) if record.version_id == version_id), None)

    def of(self, key: str) -> list[ObjectRecord]:
        """All kept versions of ``key``."""
        return list(self._read(self._place(key)))

    def all(self) -> Iterator[ObjectRecord]:
        """All kept versions of all keys, in no order."""
        for folder in self._folder.glob("*/*"):
            yield from self._read(folder)

    def open(self, record: ObjectRecord) -> BinaryIO:
        """The bytes of a kept version."""
        return self.data(record).open("rb", buffering=0)  # type: ignore[return-value]

    def data(self, record: ObjectRecord) -> Path:
        """The file with the bytes of a kept version."""
        return self._place(record.key) / f"{record.version_id}.data"

    def remove(self, key: str, version_id: str) -> None:
        """Forget one version; missing is fine."""
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
                # a crash between the record and its file leaves the version current and not kept
                if record.delete_marker or path.with_suffix(".data").exists():
                    yield record

    def _place(self, key: str) -> Path:
        name = key_hash(key)
        return self._folder / name[:2] / name[2:]
