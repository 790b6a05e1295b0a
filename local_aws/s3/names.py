"""Translates the keys of objects to file names, and back.

Each segment of a key (the text between slashes) is the name of a folder or file where that is possible, so
that Spark and people find the files under their keys. The other segments are escaped:

    '.', '..', with NUL, or beginning with one of these marks  ->  '.%' + percent-encoded segment
    '' at the end of a key, '' before a slash                  ->  '.%', '.%%'
    longer than a file name may be                             ->  '.=' + SHA-256, with its text in ``names/``
    an object whose name a folder has ('foo' and 'foo/bar')    ->  '.~' + its usual name
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote, unquote

from local_aws.errors import AwsError

_ESCAPED, _HASHED, _ASIDE = ".%", ".=", ".~"
# two names, so that the keys 'a/' (a folder marker) and 'a//b' can both exist
_EMPTY_FILE, _EMPTY_FOLDER = ".%", ".%%"
_MAX_NAME_BYTES = 255
_MAX_KEY_BYTES = 1024
#: Addresses of hosts, and the names that AWS keeps for itself.
_RESERVED_BUCKET = re.compile(
    r"(\d+\.){3}\d+$|xn--|sthree-|amzn-s3-demo-|.*(-s3alias|--ol-s3|\.mrap|--x-s3)$"
)
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def check_bucket_name(name: str) -> None:
    """Raise AwsError InvalidBucketName unless ``name`` is a valid name of a bucket."""
    if not _BUCKET.fullmatch(name) or ".." in name or _RESERVED_BUCKET.match(name):
        raise AwsError("InvalidBucketName", "The specified bucket is not valid.", 400, {"BucketName": name})


def check_key(key: str) -> None:
    """Raise AwsError if ``key`` is too long or not valid UTF-8."""
    try:
        raw = key.encode()
    except UnicodeEncodeError as error:
        raise AwsError("InvalidURI", "The key is not valid UTF-8.", 400) from error
    if len(raw) > _MAX_KEY_BYTES:
        raise AwsError(
            "KeyTooLongError", "Your key is too long", 400, {"Size": str(len(raw)), "MaxSizeAllowed": "1024"}
        )


def path_of(bucket: Path, key: str) -> str:
    """Return the file of ``key``, which is always inside ``bucket``."""
    *folders, last = key.split("/")
    names = [_file_name(segment) or _EMPTY_FOLDER for segment in folders]
    return "/".join([str(bucket), *names, _file_name(last) or _EMPTY_FILE])


class Names:
    """The file names of one bucket. The folder ``table`` holds the full text of hashed segments."""

    def __init__(self, table: Path) -> None:
        self._table = table
        self._spelled: dict[str, str] = {}

    def path(self, bucket: Path, key: str) -> str:
        """Return the file of ``key``."""
        return path_of(bucket, key)

    def path_aside(self, bucket: Path, key: str) -> str:
        """Return the file of ``key`` if a folder has the name of the plain file."""
        parent, _, name = path_of(bucket, key).rpartition("/")
        return f"{parent}/{self.aside(name)}"

    def aside(self, file_name: str) -> str:
        """Return the name of an object's file if a folder is called ``file_name``."""
        moved = _ASIDE + file_name
        return moved if len(moved.encode()) <= _MAX_NAME_BYTES else _ASIDE + _hashed(self.segment(file_name))

    def remember(self, key: str) -> None:
        """Store the full text of the hashed segments of ``key``. Call it before the file is created."""
        for segment in key.split("/"):
            if (name := _file_name(segment)).startswith(_HASHED):
                self._spell(name, segment)

    def remember_aside(self, file_name: str) -> None:
        """Store the full text of the segment ``file_name`` if its name for the moved file is hashed."""
        if (name := self.aside(file_name).removeprefix(_ASIDE)).startswith(_HASHED):
            self._spell(name, self.segment(file_name))

    def _spell(self, name: str, segment: str) -> None:
        if not (self._table / name).exists():
            self._table.mkdir(parents=True, exist_ok=True)
            temporary = self._table / f"{name}.{os.getpid()}.{threading.get_ident()}"
            temporary.write_text(segment)
            temporary.replace(self._table / name)

    def segment(self, file_name: str) -> str:
        """Return the segment that a file or folder called ``file_name`` stands for."""
        file_name = file_name.removeprefix(_ASIDE)
        if file_name in (_EMPTY_FOLDER, _EMPTY_FILE):
            return ""
        if file_name.startswith(_ESCAPED):
            return unquote(file_name[len(_ESCAPED) :])
        if file_name.startswith(_HASHED):
            if file_name not in self._spelled:
                try:
                    self._spelled[file_name] = (self._table / file_name).read_text()
                except FileNotFoundError:
                    return file_name  # another program wrote a file of that name
            return self._spelled[file_name]
        return file_name


@lru_cache(maxsize=4096)
def _file_name(segment: str) -> str:
    special = segment in (".", "..") or segment.startswith((_ESCAPED, _HASHED, _ASIDE)) or "\0" in segment
    name = _ESCAPED + quote(segment, safe=" ") if special else segment
    if len(name.encode()) > _MAX_NAME_BYTES:
        return _hashed(segment)
    return name


def _hashed(segment: str) -> str:
    return _HASHED + hashlib.sha256(segment.encode()).hexdigest()
