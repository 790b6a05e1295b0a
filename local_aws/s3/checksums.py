"""The checksum algorithms of S3, and their combination for multipart uploads."""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from awscrt import checksums as crt

from local_aws.errors import AwsError

DEFAULT = "CRC64NVME"
"""The algorithm that S3 uses if the client does not send a checksum."""


class Digest(Protocol):
    """An incremental digest with the interface of hashlib."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None: ...

    def digest(self) -> bytes: ...


class _Crc:
    def __init__(self, function: Callable[[memoryview, int], int], size_bytes: int) -> None:
        self._function = function
        self._size_bytes = size_bytes
        self._value = 0

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        self._value = self._function(memoryview(data), self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size_bytes, "big")


# zlib's CRC32 releases the GIL; that of awscrt does not, and is not faster
_MAKERS: dict[str, Callable[[], Digest]] = {
    "CRC32": lambda: _Crc(zlib.crc32, 4),
    "CRC32C": lambda: _Crc(crt.crc32c, 4),
    "CRC64NVME": lambda: _Crc(crt.crc64nvme, 8),
    "SHA1": lambda: hashlib.sha1(usedforsecurity=False),
    "SHA256": hashlib.sha256,
}
_COMBINERS: dict[str, tuple[Callable[[int, int, int], int], int]] = {
    "CRC32": (crt.combine_crc32, 4),
    "CRC32C": (crt.combine_crc32c, 4),
    "CRC64NVME": (crt.combine_crc64nvme, 8),
}
ALGORITHMS = tuple(_MAKERS)


def new_digest(algorithm: str) -> Digest:
    """Create an incremental digest. Raises AwsError InvalidRequest if S3 does not know ``algorithm``."""
    if algorithm not in _MAKERS:
        raise AwsError(
            "InvalidRequest",
            f"Checksum algorithm provided is unsupported: {algorithm}. Use {ALGORITHMS}",
            400,
        )
    return _MAKERS[algorithm]()


def header_of(algorithm: str) -> str:
    """Return the name of the header for a checksum of ``algorithm``."""
    return f"x-amz-checksum-{algorithm.lower()}"


def claimed(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the checksums in ``headers`` as {algorithm: base64 value}."""
    return {a: headers[header_of(a)] for a in ALGORITHMS if header_of(a) in headers}


def named(headers: Mapping[str, str]) -> set[str]:
    """Return the algorithms of the checksums that a body has in its headers or in its trailers."""
    trailers = [name.strip().lower() for name in headers.get("x-amz-trailer", "").split(",")]
    return {a for a in ALGORITHMS if header_of(a) in headers or header_of(a) in trailers}


def mismatch(expected: str, actual: str) -> AwsError:
    """Return the error for a checksum of another algorithm than that of the multipart upload."""
    return AwsError(
        "InvalidRequest",
        f"Checksum Type mismatch occurred, expected checksum Type: {expected.lower()}, actual"
        f" checksum Type: {actual.lower()}",
        400,
    )


def combined(algorithm: str, parts: Sequence[tuple[str, int]]) -> str:
    """Compute the base64 checksum of an object from its ``parts`` (base64 checksum, size in bytes).

    Raises AwsError InvalidRequest for an algorithm that cannot combine checksums, such as SHA256.
    """
    if algorithm not in _COMBINERS:
        raise AwsError(
            "InvalidRequest", f"{algorithm} has no full object checksum for a multipart upload", 400
        )
    combine, size_bytes = _COMBINERS[algorithm]
    whole = 0
    for value, length in parts:
        whole = combine(whole, int.from_bytes(base64.b64decode(value), "big"), length)
    return base64.b64encode(whole.to_bytes(size_bytes, "big")).decode()


def composite(algorithm: str, parts: Sequence[tuple[str, int]]) -> str:
    """Compute the composite checksum of ``parts`` (base64 checksum, size in bytes).

    It is the checksum of the concatenated checksums, a hyphen and the number of parts.
    """
    digest = new_digest(algorithm)
    for value, _ in parts:
        digest.update(base64.b64decode(value))
    return f"{base64.b64encode(digest.digest()).decode()}-{len(parts)}"
