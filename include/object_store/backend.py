"""The operations that both backends have: S3 and folders of this machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar

Place_contra = TypeVar("Place_contra", contravariant=True)


@dataclass(frozen=True)
class ObjectStat:
    """Size, entity tag, user metadata and time of the last write of one object.

    ``etag`` is S3's name of exactly these bytes, without quotes. For a local file it is the SHA-256 of the
    bytes; a listing of local files does not compute it and leaves it empty.
    """

    uri: str
    size_bytes: int
    etag: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    modified: datetime | None = None


class Backend(Protocol[Place_contra]):
    """One kind of storage. ``ObjectStore`` documents the operations."""

    def find(self, at: Place_contra) -> ObjectStat | None: ...

    def exists(self, at: Place_contra) -> bool: ...

    def open(self, at: Place_contra, etag: str) -> BinaryIO: ...

    def read(self, at: Place_contra) -> bytes: ...

    def read_range(self, at: Place_contra, start: int, size: int, etag: str) -> bytes: ...

    def open_ranged(self, at: Place_contra) -> BinaryIO: ...

    def write(self, at: Place_contra, content: bytes, metadata: Mapping[str, str] | None) -> str: ...

    def create(self, at: Place_contra, content: bytes) -> str: ...

    def replace(self, at: Place_contra, content: bytes, etag: str) -> str: ...

    def upload(self, at: Place_contra, path: Path) -> None: ...

    def download(self, at: Place_contra, path: Path, etag: str) -> None: ...

    def publish(self, at: Place_contra) -> AbstractContextManager[Path]: ...

    def local_copy(self, at: Place_contra, etag: str) -> AbstractContextManager[Path]: ...

    def list(self, at: Place_contra, starts_with: str) -> Iterator[ObjectStat]: ...

    def delete(self, at: Place_contra) -> None: ...

    def delete_folder(self, at: Place_contra) -> int: ...
