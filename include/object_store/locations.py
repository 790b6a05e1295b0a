"""URIs of objects and folders: ``s3://bucket/key``, ``file:///path`` and plain paths."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias
from urllib.parse import unquote, urlparse

from include.contracts.errors import InputError
from include.contracts.storage import S3Uri

#: Every operation of the store accepts both forms.
Uri: TypeAlias = str | S3Uri
#: A parsed URI: an object of S3, or a path of this machine.
Location: TypeAlias = S3Uri | Path


def locate(uri: Uri) -> Location:
    """Parse a URI. Raises ContractError for a malformed S3 URI, InputError for another scheme."""
    if isinstance(uri, S3Uri):
        return uri
    return S3Uri.parse(uri) if is_s3(uri) else local_path(uri)


def is_s3(uri: str) -> bool:
    """Return True for ``s3://`` URIs."""
    return uri.startswith("s3://")


def local_path(uri: str) -> Path:
    """Return the path of a local URI. Raises InputError for a scheme that is neither ``file`` nor ``s3``."""
    if "://" not in uri:
        return Path(uri)
    if not uri.startswith("file://"):
        raise InputError("unknown scheme", where=uri, expected="s3://, file:// or a path")
    return Path(unquote(urlparse(uri).path))


def absolute(uri: str) -> str:
    """Resolve a path of the command line to an absolute one; return a URI unchanged."""
    return uri if "://" in uri else str(Path(uri).resolve())


def join(root: str, *names: str) -> str:
    """Join a root and names with single slashes."""
    return "/".join([root.rstrip("/"), *(name.strip("/") for name in names)])


def split(uri: str) -> tuple[str, str]:
    """Return the folder and the name of a file. Raises InputError for a URI that names a folder."""
    folder, slash, name = uri.rpartition("/")
    if not name:
        raise InputError("the URI names a folder", where=repr(uri), expected="the URI of a file")
    return (folder or slash or "."), name


def key_of(uri: str) -> str:
    """Return the key of an S3 URI as it stands, without the checks of ``S3Uri.parse``."""
    return uri.split("/", 3)[3]
