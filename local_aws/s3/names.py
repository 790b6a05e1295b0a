"""Keys and the file names that hold them.

A segment of a key (between slashes) is its own file name wherever a file can be called that, so Spark and
people see what they expect. What no file can be called is escaped:

    '.'  '..'  with NUL  starting with our own marks       ->  '.%' + percent-encoded segment
    '' at the end of a key, '' before a slash              ->  '.%', '.%%'
    longer than a file name may be                         ->  '.=' + SHA-256, spelled out in ``names/``
    an object next to keys below it ('foo', 'foo/bar')     ->  '.~' + the name that it would have alone
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
# two names, so that the keys 'a/' (a folder marker) and 'a//b' can live side by side
_EMPTY_FILE, _EMPTY_FOLDER = ".%", ".%%"
_MAX_NAME_BYTES = 255
_MAX_KEY_BYTES = 1024
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def check_bucket_name(name: str) -> None:
    """AwsError InvalidBucketName unless ``name`` may name a bucket (and so a folder of the root)."""
    if not _BUCKET.fullmatch(name) or ".." in name:
        raise AwsError("InvalidBucketName", "The specified bucket is not valid.", 400, {"BucketName": name})


def check_key(key: str) -> None:
    """AwsError when ``key`` is too long or no UTF-8."""
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
    """Translates the keys of one bucket; ``table`` is the folder for names that had to be hashed."""

    def __init__(self, table: Path) -> None:
        self._table = table
        self._spelled: dict[str, str] = {}

    def path(self, bucket: Path, key: str) -> str:
        """Return the file of ``key``."""
        return path_of(bucket, key)

    def path_aside(self, bucket: Path, key: str) -> str:
        """Return the file of ``key`` when a folder has the name that the file would have."""
        parent, _, name = path_of(bucket, key).rpartition("/")
        return f"{parent}/{self.aside(name)}"

    def aside(self, file_name: str) -> str:
        """Return the name by which a file makes room for a folder called ``file_name``."""
        moved = _ASIDE + file_name
        return moved if len(moved.encode()) <= _MAX_NAME_BYTES else _ASIDE + _hashed(self.segment(file_name))

    def remember(self, key: str) -> None:
        """Write down the segments of ``key`` that only their hash can name; before the file exists."""
        for segment in key.split("/"):
            if (name := _file_name(segment)).startswith(_HASHED):
                self._spell(name, segment)

    def remember_aside(self, file_name: str) -> None:
        """Write down the segment of a file that only its hash can name once it has moved aside."""
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
                    return file_name  # not one of ours: somebody put a file of that name there
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
