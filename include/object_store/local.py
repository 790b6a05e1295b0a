"""Files of this machine with the operations of an object store. Every write is an atomic rename."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from include.contracts.errors import InputError
from include.object_store.backend import ObjectStat
from include.object_store.errors import ConditionFailed, changed_object, readable_errors
from include.object_store.streams import BLOCK_BYTES

#: Names of files that are being written; a killed process may leave one, and no listing shows it.
_WRITING = ".writing-"


class LocalFiles:
    """The backend of paths. Metadata is not supported: a file has no place for it."""

    def find(self, at: Path) -> ObjectStat | None:
        if not self.exists(at):
            return None
        with readable_errors(at):
            return _stat(str(at), at.stat(), _sha256(at))

    def exists(self, at: Path) -> bool:
        with readable_errors(at):
            return at.is_file()

    def open(self, at: Path, etag: str = "") -> BinaryIO:
        """Open for reading. The tag is not compared: that would take reading the file twice."""
        with readable_errors(at):
            return at.open("rb", buffering=BLOCK_BYTES)

    def read(self, at: Path) -> bytes:
        with readable_errors(at):
            return at.read_bytes()

    def read_range(self, at: Path, start: int, size: int, etag: str = "") -> bytes:
        with readable_errors(at), at.open("rb") as file:
            file.seek(start)
            return file.read(size)

    def open_ranged(self, at: Path) -> BinaryIO:
        return self.open(at)

    def write(self, at: Path, content: bytes, metadata: Mapping[str, str] | None = None) -> str:
        if metadata:
            raise InputError("a local file has no metadata", where=str(at), got=", ".join(metadata))
        with readable_errors(at), self.publish(at) as path:
            path.write_bytes(content)
        return hashlib.sha256(content).hexdigest()

    def create(self, at: Path, content: bytes) -> str:
        with readable_errors(at), _temporary(at) as path:
            path.write_bytes(content)
            path.chmod(0o644)
            try:
                at.hardlink_to(path)
            except FileExistsError as error:
                raise _condition_failed(at, "no file") from error
        return hashlib.sha256(content).hexdigest()

    def replace(self, at: Path, content: bytes, etag: str) -> str:
        if not at.parent.is_dir():
            raise _condition_failed(at, f"etag {etag}", "no file")
        with readable_errors(at), _locked(at.parent):
            found = self.find(at)
            if found is None or found.etag != etag:
                raise _condition_failed(at, f"etag {etag}", found.etag if found else "no file")
            return self.write(at, content)

    def upload(self, at: Path, path: Path) -> None:
        with self.publish(at) as target, readable_errors(path):
            shutil.copyfile(path, target)

    def download(self, at: Path, path: Path, etag: str = "") -> None:
        if etag and (found := self.find(at)) and found.etag != etag:
            raise changed_object(str(at), etag, found.etag)
        with self.publish(path) as target, readable_errors(at):
            shutil.copyfile(at, target)

    @contextlib.contextmanager
    def publish(self, at: Path) -> Iterator[Path]:
        with _temporary(at) as path:
            yield path
            with readable_errors(at):
                path.chmod(0o644)
                path.replace(at)

    @contextlib.contextmanager
    def local_copy(self, at: Path, etag: str = "") -> Iterator[Path]:
        """Yield the path of the file itself. Nothing is copied."""
        yield at

    def copy(self, source: Path, target: Path) -> None:
        """Link on one disk, else copy. Files are replaced and never written over, so that a link is safe."""
        with _temporary(target) as path, readable_errors(source):
            path.unlink()
            try:
                path.hardlink_to(source.resolve())
            except FileNotFoundError:
                raise
            except OSError:
                shutil.copyfile(source, path)
                path.chmod(0o644)
            path.replace(target)

    def list(self, at: Path, starts_with: str = "") -> Iterator[ObjectStat]:
        """Yield the files below a folder in the order of S3: by the bytes of their relative names.

        Links are followed. Raises InputError for a link that leads nowhere or into its own folder, and for
        a name that is not UTF-8.
        """
        with readable_errors(at):
            is_folder = at.is_dir()
        if is_folder:
            yield from _walk(at, "", starts_with, ())

    def delete(self, at: Path) -> None:
        with readable_errors(at):
            at.unlink(missing_ok=True)

    def delete_folder(self, at: Path) -> int:
        if at.resolve() == Path(at.resolve().anchor):
            raise InputError("a whole disk is not deleted", where=str(at), expected="a folder")
        if at.is_symlink():
            raise InputError("a link is not deleted as a folder", where=str(at), expected="the folder itself")
        count = sum(len(files) for _, _, files in os.walk(at))
        with readable_errors(at), contextlib.suppress(FileNotFoundError):
            shutil.rmtree(at)
        return count


def _walk(folder: Path, below: str, starts_with: str, parents: tuple[Path, ...]) -> Iterator[ObjectStat]:
    here = folder.resolve()
    if here in parents:
        raise InputError("the link leads into its own folder", where=str(folder), remedy="remove the link")
    with readable_errors(folder), os.scandir(folder) as found:
        # '/' follows the name of a folder in the names of its files, so it takes part in the order
        entries = sorted((_printable(entry) + "/" * entry.is_dir(), entry) for entry in found)
    for name, entry in entries:
        path = below + name
        if not (path.startswith(starts_with) or starts_with.startswith(path)):
            continue
        if name.endswith("/"):
            yield from _walk(Path(entry), path, starts_with, (*parents, here))
        elif entry.is_file():
            if path.startswith(starts_with) and not name.startswith(_WRITING):
                yield _stat(entry.path, entry.stat())
        elif entry.is_symlink():
            raise InputError("the link leads nowhere", where=entry.path, remedy="correct or remove the link")


def _stat(uri: str, status: os.stat_result, etag: str = "") -> ObjectStat:
    return ObjectStat(uri, status.st_size, etag, modified=datetime.fromtimestamp(status.st_mtime, UTC))


def _printable(entry: os.DirEntry[str]) -> str:
    try:
        entry.name.encode()
    except UnicodeEncodeError as error:
        shown = os.fsencode(entry.path).decode(errors="backslashreplace")
        raise InputError("the file name is not UTF-8", where=shown, remedy="rename the file") from error
    return entry.name


@contextlib.contextmanager
def _temporary(target: Path) -> Iterator[Path]:
    """Yield a new file in the folder of ``target``; it is removed at the end unless it was renamed."""
    with readable_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=_WRITING, dir=target.parent)
    os.close(handle)
    path = Path(name)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Exclude other conditional writers in this folder, also those of other processes."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _condition_failed(at: Path, expected: str, found: str = "a file") -> ConditionFailed:
    remedy = "read it again and decide by what it is now"
    return ConditionFailed(
        "the file is not in the expected state", where=str(at), expected=expected, got=found, remedy=remedy
    )
