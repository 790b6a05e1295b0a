"""Reads, writes and removes the files of objects.

The object ``foo/bar`` is the file ``bar`` in the folder ``foo``. A file and a folder cannot have the same
name, so the file of an object ``foo`` is renamed to ``.~foo`` as soon as there are keys below ``foo/``. If
``foo`` is written after these keys are deleted, it is a plain file again. Readers look under both names
without a lock. If they find nothing, they look again under the lock that renaming takes.
"""

# The os calls: pathlib doubles the cost of a small put or of a listed key.
# ruff: noqa: PTH102, PTH104, PTH105, PTH106, PTH108, PTH112, PTH116, PTH120, PTH123

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TypeVar

from local_aws.errors import AwsError
from local_aws.s3.buckets import Bucket, remove_empty_folders

T = TypeVar("T")
ATTEMPTS = 100
#: Held while the file of an object is renamed, which is rare. Without it, a writer could remove a new object
#: that is renamed at this moment in place of the old one.
_MOVING = threading.Lock()
_IS_FOLDER = (errno.EISDIR, errno.ENOTEMPTY, errno.EEXIST)
_NO_FILE = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


def open_current(bucket: Bucket, key: str) -> BinaryIO:
    """Open the file of a key, unbuffered. Raises FileNotFoundError."""
    found = _look(bucket, key, _open)
    if found is None:
        raise FileNotFoundError(key)
    return found


def file_status(bucket: Bucket, key: str) -> os.stat_result | None:
    """Return the status of the file of a key, None if there is none."""
    return _look(bucket, key, _status)


def _look(bucket: Bucket, key: str, use: Callable[[str], T]) -> T | None:
    """Call ``use`` with the path of a key's file and return its result, or None if there is no file."""
    plain = bucket.path(key)
    with contextlib.suppress(*_NO_FILE):
        return use(plain)
    aside = bucket.path_aside(key)
    with contextlib.suppress(*_NO_FILE):
        return use(aside)
    with _MOVING:
        for path in (plain, aside):
            with contextlib.suppress(*_NO_FILE):
                return use(path)
    return None


def _open(path: str) -> BinaryIO:
    return open(path, "rb", buffering=0)  # type: ignore[return-value]


def _status(path: str) -> os.stat_result:
    status = os.stat(path)
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(path)
    return status


def put_in_place(bucket: Bucket, key: str, temporary: Path, *, fsync: bool) -> list[int]:
    """Rename ``temporary`` to the file of ``key``. Return the times (ns) of the files that it replaced."""
    plain, aside = bucket.path(key), bucket.path_aside(key)
    parent, name = os.path.split(plain)
    for _ in range(ATTEMPTS):
        times = _file_time(plain), _file_time(aside)
        replaced = [time for time in times if time is not None]
        try:
            if times[1] is not None:
                with _MOVING:
                    os.replace(temporary, plain)
                    _unlink(aside)
            else:
                os.replace(temporary, plain)
        except (FileNotFoundError, NotADirectoryError):
            # the parent is missing, is an object, or was removed by a concurrent delete
            _make_folders(bucket, parent)
            continue
        except OSError as error:
            if error.errno not in _IS_FOLDER:
                raise
            if _removed_if_empty(plain):
                continue
            bucket.names.remember_aside(name)
            try:
                os.replace(temporary, aside)
            except FileNotFoundError:
                continue  # a concurrent delete removed the folder
        if fsync:
            _fsync_folder(parent)
        return replaced
    raise AwsError(
        "SlowDown", f"The folder of {key} is repeatedly removed by concurrent deletes; try again.", 503
    )


def _removed_if_empty(folder: str) -> bool:
    """Remove a folder if it holds no keys. Return True if it does not exist afterwards."""
    remove_empty_folders(folder)
    try:
        os.rmdir(folder)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def link_current(bucket: Bucket, key: str, target: Path) -> None:
    """Make ``target`` a hard link to the file of a key. Raises FileNotFoundError."""

    def link(path: str) -> bool:
        _status(path)
        try:
            os.link(path, target)
        except PermissionError as error:  # a folder was created at the same time
            raise IsADirectoryError(path) from error
        return True

    if not _look(bucket, key, link):
        raise FileNotFoundError(key)


def remove_current(bucket: Bucket, key: str) -> None:
    """Remove the file of a key, if there is one, and the folders that are empty after it."""
    plain = bucket.path(key)
    _unlink(plain)
    _unlink(bucket.path_aside(key))
    parent, top = os.path.dirname(plain), str(bucket.folder)
    while parent != top:
        try:
            os.rmdir(parent)
        except OSError:
            break
        parent = os.path.dirname(parent)


def _make_folders(bucket: Bucket, folder: str) -> None:
    """Create a folder below the bucket's folder. Raises AwsError NoSuchBucket if the bucket was deleted."""
    if folder == str(bucket.folder):
        if not os.path.isdir(folder):
            raise AwsError("NoSuchBucket", "The specified bucket does not exist", 404)
        return
    try:
        os.mkdir(folder)
    except FileExistsError:
        if not os.path.isdir(folder):
            _move_aside(bucket, folder)
    except (FileNotFoundError, NotADirectoryError):
        _make_folders(bucket, os.path.dirname(folder))
        # the caller tries again if another writer creates it first or a delete removes it
        with contextlib.suppress(FileExistsError, FileNotFoundError, NotADirectoryError):
            os.mkdir(folder)


def _move_aside(bucket: Bucket, path: str) -> None:
    """Rename the file of an object, so that a folder can have its name."""
    parent, name = os.path.split(path)
    bucket.names.remember_aside(name)
    with _MOVING, contextlib.suppress(*_NO_FILE):
        if not os.path.isdir(path):
            os.rename(path, f"{parent}/{bucket.names.aside(name)}")


def _unlink(path: str) -> None:
    with contextlib.suppress(*_NO_FILE):
        os.unlink(path)


def _file_time(path: str) -> int | None:
    with contextlib.suppress(*_NO_FILE):
        return _status(path).st_mtime_ns
    return None


def _fsync_folder(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
