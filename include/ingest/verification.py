"""Computes the digests of an object in S3, and compares them with the published ones."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from include.contracts.ingestion import ChecksumKind, Shard
from include.contracts.storage import S3Uri
from include.ingest.errors import ShardMismatch
from include.object_store import ObjectStore

_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Digests:
    """``etag`` is S3's name of exactly these bytes: a copy that demands it cannot copy others."""

    size_bytes: int
    sha256: str
    md5: str
    etag: str


def digests_of(store: ObjectStore, uri: S3Uri, *, with_md5: bool) -> Digests:
    """Read the object back, a block at a time. ``md5`` is '' unless ``with_md5`` is set."""
    etag = store.stat(uri).etag
    sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    with store.open(uri, etag) as stream:
        while block := stream.read(_BLOCK_BYTES):
            sha256.update(block)
            if with_md5:
                md5.update(block)
            size += len(block)
    return Digests(size, sha256.hexdigest(), md5.hexdigest() if with_md5 else "", etag)


def wants_md5(shard: Shard) -> bool:
    """Return True if the source publishes an MD5 of this shard."""
    return shard.checksum is not None and shard.checksum.kind is ChecksumKind.MD5


def published(shard: Shard) -> str:
    """Return the kind of the published checksum of the shard's bytes, or ``none``."""
    checksum = shard.checksum
    return checksum.kind.value if checksum and checksum.kind is not ChecksumKind.ETAG else "none"


def is_as_published(shard: Shard, size_bytes: int, known: Mapping[str, str]) -> bool:
    """Return True if the ``known`` values of an object, '' for unknown ones, agree with the source.

    ``known`` has a value for each ChecksumKind.
    """
    if shard.size_bytes not in (None, size_bytes):
        return False
    checksum = shard.checksum
    if checksum is None or not (value := known.get(checksum.kind.value, "")):
        return True
    return is_pinned_etag(shard, value) if checksum.kind is ChecksumKind.ETAG else value == checksum.value


def is_pinned_etag(shard: Shard, etag: str) -> bool:
    """Return True if an ETag may be that of the shard: False if its source names another."""
    checksum = shard.checksum
    if checksum is None or checksum.kind is not ChecksumKind.ETAG:
        return True
    return etag.removeprefix("W/").strip('"') == checksum.value.removeprefix("W/").strip('"')


def check(shard: Shard, found: Digests) -> None:
    """Raise ShardMismatch if the object is not as the source promises."""
    if found.size_bytes == 0:
        raise ShardMismatch("an empty file", where=shard.url, expected="a shard", got="0 bytes")
    if shard.size_bytes is not None and found.size_bytes != shard.size_bytes:
        raise ShardMismatch(
            "another size than published",
            where=shard.url,
            expected=f"{shard.size_bytes} bytes",
            got=f"{found.size_bytes} bytes",
        )
    kind = published(shard)
    if kind != "none" and shard.checksum is not None:
        got = found.md5 if kind == "md5" else found.sha256
        if got != shard.checksum.value:
            raise ShardMismatch(
                "another checksum than published",
                where=shard.url,
                expected=f"{kind} {shard.checksum.value}",
                got=f"{kind} {got}",
            )
