"""Recognises the format of a shard by its first bytes, and unpacks it.

The name is not used: a shard may be compressed twice, be UTF-16, or be a server's error page.
"""

from __future__ import annotations

import codecs
import enum
import itertools
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from spark_jobs.readers.compression import Block, Damage, gzip_blocks, joined_blocks, zstd_blocks
from spark_jobs.readers.magic_numbers import packed_at
from spark_jobs.readers.other_formats import ZEROS, other_format
from spark_jobs.readers.pieces import RECORD_SEPARATORS

#: Bytes of a shard's beginning that show what it is.
HEAD_BYTES = 1 << 18  # zstd holds back a block (128 KiB at most) until it is whole

TEXT_KEYS = ("text", "raw_content", "content")

#: Files are sometimes compressed twice by mistake; with more layers, they may be a decompression bomb.
_MOST_PACKINGS = 3


class Container(enum.StrEnum):
    """The ways in which the records of a shard are packed."""

    ZSTD = "zstd"
    GZIP = "gzip"
    PARQUET = "parquet"
    LINES = "lines"
    EMPTY = "empty"


class Companion(enum.StrEnum):
    """The kinds of RedPajama v2's files next to the documents, which hold no documents themselves."""

    QUALITY_SIGNALS = "quality_signals"
    DUPLICATES = "duplicates"
    MINHASH = "minhash"


_PARQUET_MAGIC = b"PAR1"
_ZSTD_START = re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18")
_UNPACK = {Container.ZSTD: zstd_blocks, Container.GZIP: gzip_blocks}
#: Record separators, zeros and the bytes of a byte order mark.
_SKIPPED = RECORD_SEPARATORS + b"\0\xef\xbb\xbf"
#: Zeros before the content, as an interrupted download leaves them. UTF-32 begins with three at most.
_ZEROS = b"\0\0\0\0"
_MOST_ZERO_BYTES = 1 << 30
#: UTF-32 comes first: its mark begins as that of UTF-16 does.
_ENCODINGS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MARKS = frozenset(mark for mark, _ in _ENCODINGS)
#: JSON begins with two ASCII characters, so the zeros show an encoding without a mark.
_UNMARKED_ENCODINGS = (
    (re.compile(rb"(?:[ \t\r\n]\0\0\0)*[{\[]\0\0\0"), "utf-32-le"),
    (re.compile(rb"(?:\0\0\0[ \t\r\n])*\0\0\0[{\[]"), "utf-32-be"),
    (re.compile(rb"(?:[ \t\r\n]\0)*[{\[]\0[^\0]"), "utf-16-le"),
    (re.compile(rb"(?:\0[ \t\r\n])*\0[{\[]\0"), "utf-16-be"),
)


@dataclass
class Unpacked:
    """The text of a shard in UTF-8, or what the shard is instead.

    ``head`` is the beginning of ``blocks``. ``packings`` are the layers that were taken off, the outermost
    first. ``other`` names a format that cannot be read, with what to do.
    """

    head: bytes
    blocks: Iterator[Block]
    packings: tuple[Container, ...] = ()
    encoding: str = ""
    other: str = ""
    is_parquet: bool = False
    is_blank: bool = False

    @property
    def container(self) -> Container:
        """The outermost layer, or what the shard is without any."""
        if self.packings:
            return self.packings[0]
        if self.is_parquet:
            return Container.PARQUET
        return Container.EMPTY if self.is_blank else Container.LINES

    @property
    def starts_as_json(self) -> bool:
        """True if the first character is one that a JSON object or array begins with."""
        return self.head.lstrip(_SKIPPED)[:1] in (b"{", b"[")


def unpack(blocks: Iterable[Block]) -> Unpacked:
    """Take off all layers of compression and turn UTF-16 and UTF-32 into UTF-8."""
    packings: tuple[Container, ...] = ()
    head, blocks, is_whole = _peeked(blocks)
    begins_with_zeros = head.startswith(_ZEROS)
    if begins_with_zeros:
        head, blocks, is_whole = _peeked(_after_zeros(blocks))
    while (packing := packing_of(head)) and len(packings) < _MOST_PACKINGS:
        packings = (*packings, packing)
        head, blocks, is_whole = _peeked(_UNPACK[packing](blocks))
    found = Unpacked(head, blocks, packings)
    if begins_with_zeros and not head:
        found.other = ZEROS
    elif packing:
        found.other = f"packed more than {_MOST_PACKINGS} times: unpack it"
    elif head.startswith(_PARQUET_MAGIC):
        found.is_parquet = not packings
        found.other = f"parquet packed with {packings[-1]}: unpack it" if packings else ""
    elif is_whole and (head in _MARKS or not head.strip(b" \t\r\n\xef\xbb\xbf")):
        found.is_blank = True
    elif other := other_format(head):
        found.other = other
    elif encoding := _encoding_of(head):
        found.encoding = encoding
        found.head, found.blocks, _ = _peeked(_decoded(blocks, encoding))
    elif found.starts_as_json:
        found.head, found.blocks, _ = _peeked(joined_blocks(blocks))
    if begins_with_zeros and not packings:  # zeros before a packed member are padding
        found.blocks = itertools.chain([Damage("zero bytes at the beginning")], found.blocks)
    return found


def companion_of(keys: Collection[str]) -> Companion | None:
    """Return the companion whose records have these keys or columns, or None."""
    if any(key in keys for key in TEXT_KEYS):
        return None
    if "quality_signals" in keys:
        return Companion.QUALITY_SIGNALS
    if any(key.startswith("signature_sim") for key in keys) or "minhash_signature" in keys:
        return Companion.MINHASH
    if {"doc_id", "digest"} <= set(keys):
        return Companion.DUPLICATES
    return None


def packing_of(head: bytes) -> Container | None:
    """Return the compression that these first bytes show, or None."""
    if _ZSTD_START.match(head):
        return Container.ZSTD
    return Container.GZIP if head[:2] == b"\x1f\x8b" else None


def _peeked(blocks: Iterable[Block]) -> tuple[bytes, Iterator[Block], bool]:
    """Return the beginning, the blocks with that beginning, and True if there is no more and no damage."""
    following = iter(blocks)
    seen: list[Block] = []
    size, is_whole = 0, True
    for block in following:
        seen.append(block)
        size += 0 if isinstance(block, Damage) else len(block)
        if isinstance(block, Damage) or size >= HEAD_BYTES:
            is_whole = False
            break
    head = b"".join(block for block in seen if isinstance(block, bytes))
    return head[:HEAD_BYTES], itertools.chain(seen, following), is_whole


def _after_zeros(blocks: Iterable[Block]) -> Iterator[Block]:
    """Leave out the zeros at the beginning; give up on a file that has nothing else in its first GiB."""
    following = iter(blocks)
    size = 0
    for block in following:
        content = block if isinstance(block, Damage) else block.lstrip(b"\0")
        if content:
            yield content
            break
        size += len(block) if isinstance(block, bytes) else 0
        if size >= _MOST_ZERO_BYTES:
            return
    yield from following


def _encoding_of(head: bytes) -> str:
    for mark, name in _ENCODINGS:
        if head.startswith(mark):
            return name
    return next((name for start, name in _UNMARKED_ENCODINGS if start.match(head)), "")


def _decoded(blocks: Iterable[Block], encoding: str) -> Iterator[Block]:
    """Turn text of another encoding into UTF-8; U+FFFD stands for what is no character."""
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    following = iter(blocks)
    for block in following:
        if isinstance(block, Damage):
            yield block
        elif (at := packed_at(block)) < 0:
            yield decoder.decode(block).encode()
        else:
            yield decoder.decode(block[:at]).encode()
            lost = len(block) - at + sum(len(rest) for rest in following if isinstance(rest, bytes))
            yield Damage(
                f"compressed bytes joined with {encoding}: {lost} bytes are not read: keep them apart"
            )
            return
    yield decoder.decode(b"", final=True).encode()
