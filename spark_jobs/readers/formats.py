"""What a shard is, by its first bytes and its first record."""

from __future__ import annotations

import enum
import io
import re
from collections.abc import Collection

import orjson

from spark_jobs.readers.compression import CorruptStream, gzip_blocks, zstd_blocks

#: Bytes of a shard's beginning that are enough to say what it is.
HEAD_BYTES = 1 << 18  # zstd holds back a block (128 KiB at most) until it is whole

TEXT_KEYS = ("text", "raw_content", "content")


class Container(enum.StrEnum):
    """How the records of a shard are packed."""

    ZSTD = "zstd"
    GZIP = "gzip"
    PARQUET = "parquet"
    LINES = "lines"
    EMPTY = "empty"


class Companion(enum.StrEnum):
    """Files of RedPajama v2 that stand beside the documents and hold none."""

    QUALITY_SIGNALS = "quality_signals"
    DUPLICATES = "duplicates"
    MINHASH = "minhash"


_ZSTD_MAGIC = re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def container_of(head: bytes) -> Container | None:
    """The container that starts with these bytes; None when they are neither packed nor JSON lines."""
    if not head:
        return Container.EMPTY
    if _ZSTD_MAGIC.match(head):
        return Container.ZSTD
    if head[:2] == b"\x1f\x8b":
        return Container.GZIP
    if head[:4] == b"PAR1":
        return Container.PARQUET
    start = head.removeprefix(_BYTE_ORDER_MARK).lstrip(b" \t\r\n")
    if not start:
        return Container.EMPTY
    return Container.LINES if start[:1] == b"{" else None


def first_lines(head: bytes, container: Container) -> bytes:
    """The beginning of the JSON lines, as far as ``head`` shows it."""
    blocks = {Container.ZSTD: zstd_blocks, Container.GZIP: gzip_blocks}.get(container)
    if blocks is None:
        return head
    lines = b""
    try:
        for block in blocks(io.BytesIO(head)):
            lines += block
            if len(lines) >= HEAD_BYTES:
                break
    except CorruptStream:  # the head of a longer stream ends within it
        pass
    return lines


def first_record_keys(lines: bytes) -> frozenset[str] | None:
    """Top-level keys of the first readable JSON object; None when there is none in these bytes."""
    for line in lines.removeprefix(_BYTE_ORDER_MARK).split(b"\n"):
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if isinstance(record, dict):
            return frozenset(record)
    # one long record may not end within the head: its early keys still show
    keys = re.findall(rb'[{,]\s*"([A-Za-z_]{1,40})"\s*:', lines[:HEAD_BYTES])
    return frozenset(key.decode() for key in keys) or None


def companion_of(keys: Collection[str]) -> Companion | None:
    """The companion whose records have these keys or columns, or None."""
    if any(key in keys for key in TEXT_KEYS):
        return None
    if "quality_signals" in keys:
        return Companion.QUALITY_SIGNALS
    if any(key.startswith("signature_sim") for key in keys) or "minhash_signature" in keys:
        return Companion.MINHASH
    if {"doc_id", "digest"} <= set(keys):
        return Companion.DUPLICATES
    return None
