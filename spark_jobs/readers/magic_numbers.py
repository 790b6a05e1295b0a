"""The magic numbers of gzip and zstd, and a fast search for them between JSON lines."""

from __future__ import annotations

import re
import zlib

GZIP_MAGIC = b"\x1f\x8b\x08"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
MAGIC_BYTES = 4

_SKIPPABLE = b"\x2a\x4d\x18"
#: A gzip member, whose fourth byte has three unused bits, or a zstd frame. Neither occurs in UTF-8.
_PACKED = re.compile(rb"\x1f\x8b\x08[\x00-\x1f]|\x28\xb5\x2f\xfd")
#: How a block ends that may hold the beginning of a magic number.
_BEGUN = (b"\x1f", b"\x1f\x8b", b"\x1f\x8b\x08", b"\x28", b"\x28\xb5", b"\x28\xb5\x2f")
_TRIED_BYTES = 1 << 12


def is_skippable(magic: bytes) -> bool:
    """Return True for the magic number of a zstd frame without content."""
    return magic[1:] == _SKIPPABLE and magic[0] & 0xF0 == 0x50


def packed_at(content: bytes) -> int:
    """Return where the first gzip member or zstd frame begins in a text; -1 if it has none."""
    # a search for one byte is much faster than one for a pattern, and few texts have one of these
    if b"\x1f" not in content and b"\xfd" not in content:
        return -1
    return next((found.start() for found in _PACKED.finditer(content) if _is_member(content, found)), -1)


def begun_magic(content: bytes) -> bytes:
    """Return the end of a block if a magic number may begin there."""
    return content[1 - MAGIC_BYTES :] if content.endswith(_BEGUN) else b""


def _is_member(content: bytes, found: re.Match[bytes]) -> bool:
    """Return False for the magic number of gzip within a broken text."""
    if found[0] == ZSTD_MAGIC:
        return True
    tried = content[found.start() : found.start() + _TRIED_BYTES]
    try:
        zlib.decompressobj(wbits=31).decompress(tried, _TRIED_BYTES)
    except zlib.error:
        return False
    return True
