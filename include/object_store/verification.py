"""Files compared with the sizes and SHA-256 that a manifest promises."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import BinaryIO

from include.contracts.errors import IntegrityError
from include.contracts.manifests import FileEntry
from include.contracts.records import content_hash
from include.object_store.streams import BLOCK_BYTES


def file_entry(path: Path, name: str) -> FileEntry:
    """Return size and SHA-256 of a local file, to be listed in a manifest as ``name``."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileEntry(name, path.stat().st_size, digest)


def content_entry(content: bytes, name: str) -> FileEntry:
    """Return size and SHA-256 of bytes in memory, to be listed in a manifest as ``name``."""
    return FileEntry(name, len(content), content_hash(content))


def verify(path: Path, entry: FileEntry, *, where: str = "") -> None:
    """Raise IntegrityError unless a local file has the size and SHA-256 of its entry."""
    where = where or str(path)
    require_size(path.stat().st_size, entry, where)
    require_hash(file_entry(path, entry.path).sha256, entry, where)


def verify_stream(stream: BinaryIO, entry: FileEntry, *, where: str) -> None:
    """Raise IntegrityError unless the rest of a stream has the size and SHA-256 of its entry."""
    digest, size = hashlib.sha256(), 0
    while block := stream.read(BLOCK_BYTES):
        digest.update(block)
        size += len(block)
    require_size(size, entry, where)
    require_hash(digest.hexdigest(), entry, where)


def require_size(size_bytes: int, entry: FileEntry, where: str) -> None:
    """Raise IntegrityError for another size than the entry's."""
    if size_bytes != entry.size_bytes:
        raise IntegrityError(
            "wrong size",
            where=where,
            expected=f"{entry.size_bytes} bytes",
            got=f"{size_bytes} bytes",
            remedy="write the file and its manifest again",
        )


def require_hash(sha256: str, entry: FileEntry, where: str) -> None:
    """Raise IntegrityError for another SHA-256 than the entry's."""
    if sha256 != entry.sha256:
        raise IntegrityError(
            "wrong content",
            where=where,
            expected=f"SHA-256 {entry.sha256}",
            got=sha256,
            remedy="write the file and its manifest again",
        )
