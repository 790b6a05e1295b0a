"""Lists the keys of a bucket in UTF-8 order, directly from its folders."""

# The os calls: pathlib doubles the cost of a small put or of a listed key.

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby

from local_aws.s3.buckets import Bucket
from local_aws.s3.object_files import file_status
from local_aws.s3.records import ObjectRecord


@dataclass
class Page:
    """One page of a listing. ``prefixes`` are common prefixes; the next page continues after ``last``."""

    records: list[ObjectRecord] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    truncated: bool = False
    last: str = ""


class Walk:
    """The keys with ``prefix`` that follow ``after``, in order. Folders without such keys are not read.

    Code points sort as their UTF-8 bytes do, so the order of ``str`` is S3's order. A folder sorts as if its
    name ended in a slash: ``a.b`` comes before ``a/b``.
    """

    def __init__(self, bucket: Bucket, prefix: str, after: str = "", skip: str = "") -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._after = after
        self.skip = skip
        """Keys with this prefix are skipped. It may be changed between two keys."""

    def __iter__(self) -> Iterator[str]:
        """Yield the keys."""
        return self._folder(str(self._bucket.folder), "")

    def _folder(self, path: str, base: str) -> Iterator[str]:
        for name, entry in self._entries(path):
            key = base + name
            if self.skip and key.startswith(self.skip):
                continue
            if name.endswith("/") and self._is_folder(entry):
                inside = key.startswith(self._prefix) or self._prefix.startswith(key)
                if inside and (key > self._after or self._after.startswith(key)):
                    yield from self._folder(entry.path, key)
            elif key > self._after and key.startswith(self._prefix):
                yield key

    def _entries(self, path: str) -> list[tuple[str, os.DirEntry[str]]]:
        segment = self._bucket.names.segment
        entries = []
        try:
            with os.scandir(path) as found:
                for entry in found:
                    name = segment(entry.name)
                    entries.append((f"{name}/" if self._is_folder(entry) else name, entry))
        except (FileNotFoundError, NotADirectoryError):
            return []  # deleted since its parent was read
        entries.sort(key=lambda item: item[0])
        # a file that is renamed at this moment may be found under both names
        return [entry for _, (entry, *_) in groupby(entries, key=lambda item: item[0])]

    @staticmethod
    def _is_folder(entry: os.DirEntry[str]) -> bool:
        try:
            return entry.is_dir()
        except OSError:
            return False


def list_page(bucket: Bucket, prefix: str, delimiter: str, *, after: str, skip: str, limit: int) -> Page:
    """List at most ``limit`` keys and common prefixes.

    Keys up to ``after`` and keys that begin with ``skip`` are left out. Without a ``delimiter``, keys are not
    grouped by prefix.
    """
    page = Page()
    if limit == 0:
        return page
    walk = Walk(bucket, prefix, after, skip)
    for key in walk:
        cut = key.find(delimiter, len(prefix)) if delimiter else -1
        record = None
        if cut < 0:
            record = read_record(bucket, key)
            if record is None:
                continue
        if len(page.records) + len(page.prefixes) == limit:
            page.truncated = True
            return page
        if record is not None:
            page.records.append(record)
            page.last = key
        else:
            page.last = key[: cut + len(delimiter)]
            page.prefixes.append(page.last)
            walk.skip = page.last
    return page


def read_record(bucket: Bucket, key: str) -> ObjectRecord | None:
    """Return the record of a key's file, or None if the file was deleted."""
    while True:
        status = file_status(bucket, key)
        if status is None:
            return None
        record = bucket.records.read(key, status)
        if record is not None:
            return record
        again = file_status(bucket, key)
        if again is not None and again.st_mtime_ns == status.st_mtime_ns:
            return ObjectRecord.derived(key, status)
