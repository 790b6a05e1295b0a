"""The checksums that S3 knows, as running digests."""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from awscrt import checksums as crt

from local_aws.errors import AwsError

DEFAULT = "CRC64NVME"
"""What S3 keeps for an object whose client sent none."""


class Digest(Protocol):
    """A running digest, as hashlib's."""

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


# zlib lets other threads run meanwhile; the C runtime's CRC32 does not and is no faster
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
    """A running digest of ``algorithm``; AwsError InvalidRequest when S3 has none of that name."""
    if algorithm not in _MAKERS:
        raise AwsError(
            "InvalidRequest",
            f"Checksum algorithm provided is unsupported: {algorithm}. Use {ALGORITHMS}",
            400,
        )
    return _MAKERS[algorithm]()


def header_of(algorithm: str) -> str:
    """The header that carries a checksum of ``algorithm``."""
    return f"x-amz-checksum-{algorithm.lower()}"


def claimed(headers: Mapping[str, str]) -> dict[str, str]:
    """Algorithm -> base64 value for every checksum in ``headers``."""
    return {a: headers[header_of(a)] for a in ALGORITHMS if header_of(a) in headers}


def combined(algorithm: str, parts: Sequence[tuple[str, int]]) -> str:
    """The checksum of a whole from (base64 checksum, bytes) of its parts; AwsError where that cannot be."""
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
    """The checksum of the parts' checksums, with their number."""
    digest = new_digest(algorithm)
    for value, _ in parts:
        digest.update(base64.b64decode(value))
    return f"{base64.b64encode(digest.digest()).decode()}-{len(parts)}"
