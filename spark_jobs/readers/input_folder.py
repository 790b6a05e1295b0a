"""Finds the files of an input folder or S3 prefix, and the reasons for those that are left out.

Links are followed. A file or folder that is reached twice is taken once. A corpus version is left out.
"""

from __future__ import annotations

import json
import os
import stat
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from include.contracts.errors import InputError
from include.contracts.shard_names import SHARD_SUFFIXES
from include.object_store import STORE
from include.object_store.locations import is_s3, local_path

_NO_FILES: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISFIFO, "a named pipe, not a file"),
    (stat.S_ISSOCK, "a socket, not a file"),
    (stat.S_ISCHR, "a device, not a file"),
    (stat.S_ISBLK, "a device, not a file"),
)
#: Fields by which the manifest and the request of a corpus version are known.
_VERSION_RECORDS = {
    "manifest.json": {"version", "root_uri", "request", "subsets", "files"},
    "request.json": {"version", "root_uri", "inputs", "recipe", "sources_sha256"},
}
_Identity = tuple[int, int]


@dataclass
class FoundFiles:
    """URIs of files, sorted, and what was left out, with the reasons; a folder is left out as a whole."""

    files: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


def find_files(folder: str) -> FoundFiles:
    """Return the files below a folder or S3 prefix. Raises InputError if there is none."""
    found = FoundFiles(STORE.uris(folder)) if is_s3(folder) else _Walk(_checked_folder(folder)).result()
    if not found.files and not found.left_out:
        raise InputError("the folder is empty", where=folder, remedy="put shards into it")
    return found


def shard_name(folder: str, uri: str) -> str:
    """Return the name of a shard of an input folder: the folder's own name and the path below it.

    It is empty for S3, where the key is the name. Control characters are escaped as in a URL.
    """
    if is_s3(uri):
        return ""
    root = local_path(folder)
    name = f"{root.name or 'local'}/{local_path(uri).relative_to(root).as_posix()}"
    return "".join(character if character.isprintable() else quote(character) for character in name)


def _checked_folder(folder: str) -> Path:
    root = local_path(folder)
    if not root.is_dir():
        what = "this is a file" if root.is_file() else "no such folder"
        raise InputError(what, where=folder, remedy="give a folder of shards, or s3://bucket/prefix/")
    if not _is_utf8(str(root)):
        raise InputError("the path is not UTF-8", where=_shown(folder), remedy="rename the folder")
    if record := _version_record(root):
        raise InputError(
            f"the folder is a corpus version: it has the {record} of one",
            where=folder,
            remedy="give the folder of the raw shards; to read a corpus again, give its documents/",
        )
    return root


class _Walk:
    """A walk through a folder. Links come last, so that a folder reached twice has its own name."""

    def __init__(self, root: Path) -> None:
        self._found = FoundFiles()
        self._folders, self._links = deque([root]), deque[Path]()
        self._seen: dict[_Identity, Path] = {}
        self._paths: dict[_Identity, list[Path]] = {}

    def result(self) -> FoundFiles:
        """Walk, and return what was found."""
        while self._folders or self._links:
            self._enter((self._folders or self._links).popleft())
        for paths in self._paths.values():
            first, *others = sorted(paths, key=_preference)
            self._found.files.append(str(first))
            for path in others:
                self._leave_out(path, f"the same file as {first}")
        self._found.files.sort()
        return self._found

    def _enter(self, folder: Path) -> None:
        identity = _identity(folder.stat())
        if identity in self._seen:
            self._leave_out(folder, f"the same folder as {self._seen[identity]}")
            return
        self._seen[identity] = folder
        if record := _version_record(folder):
            self._leave_out(folder, f"a corpus version: it has the {record} of one")
            return
        try:
            paths = sorted(folder.iterdir())
        except OSError as error:
            self._leave_out(folder, f"cannot be read: {error.strerror}")
            return
        for path in paths:
            self._look_at(path)

    def _look_at(self, path: Path) -> None:
        if not _is_utf8(path.name):
            self._leave_out(path, "its name is not UTF-8: rename it")
            return
        try:
            status = path.stat()
        except OSError as error:
            is_dead = path.is_symlink() and isinstance(error, FileNotFoundError)
            self._leave_out(
                path,
                f"a link to nothing: {path.readlink()}" if is_dead else f"cannot be read: {error.strerror}",
            )
            return
        if stat.S_ISDIR(status.st_mode):
            if path.name.startswith("."):
                self._leave_out(path, "a hidden folder")
            else:
                (self._links if path.is_symlink() else self._folders).append(path)
        elif stat.S_ISREG(status.st_mode):
            self._paths.setdefault(_identity(status), []).append(path)
        else:
            kinds = (kind for is_kind, kind in _NO_FILES if is_kind(status.st_mode))
            self._leave_out(path, next(kinds, "not a file"))

    def _leave_out(self, path: Path, reason: str) -> None:
        self._found.left_out[_shown(str(path))] = _shown(reason)


def _identity(status: os.stat_result) -> _Identity:
    return status.st_dev, status.st_ino


def _preference(path: Path) -> tuple[bool, bool, Path]:
    """Order the names of one file: a shard's name is better than the hash by which a cache calls it."""
    return not path.name.lower().endswith(SHARD_SUFFIXES), path.is_symlink(), path


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(path: str) -> str:
    """Return a path as text, with escapes for bytes that are no UTF-8."""
    return os.fsencode(path).decode(errors="backslashreplace")


def _version_record(folder: Path) -> str:
    """Return the name of the file that shows that a folder is a corpus version; empty if it is none."""
    for name, fields in _VERSION_RECORDS.items():
        try:
            record = json.loads((folder / name).read_bytes())
        except (OSError, ValueError, RecursionError):
            continue
        if isinstance(record, dict) and fields <= record.keys():
            return name
    return ""
