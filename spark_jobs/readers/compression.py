"""Decompresses streams in bounded memory, and continues after damaged parts.

A gzip file is a series of members, and a zstd file a series of frames. All bytes before the damage are
returned. Reading continues at the next member or frame that is found. Files of different compression, and
JSON lines without any, may be joined in one.
"""

from __future__ import annotations

import itertools
import re
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import zstandard

from spark_jobs.readers.magic_numbers import (
    GZIP_MAGIC,
    MAGIC_BYTES,
    ZSTD_MAGIC,
    begun_magic,
    is_skippable,
    packed_at,
)

_READ_BYTES = 1 << 20
#: zlib copies the bytes that follow a member, so short reads are better for short members.
_GZIP_READ_BYTES = 1 << 17
#: A decoder detects damage some bytes after it, so the search for the next member begins this far before.
_REMEMBERED_BYTES = 2 << 20

#: Bytes of a member's beginning that show what it is.
_START_BYTES = 16
#: Where reading continues after damage: a member, a frame, or a line that no compressed bytes look like.
_RESUMABLE = re.compile(rb"\x1f\x8b\x08|\x28\xb5\x2f\xfd|\n\{[ \t]*\"[ -~]{16}")
_LONGEST_MATCH_BYTES = 64
_BLANK = b" \t\r\n\xef\xbb\xbf"
#: Layers of compression within a text. More of them may be a decompression bomb.
_MOST_LAYERS = 3
#: So much follows the beginning of a magic number before the number is searched.
_LOOKAHEAD_BYTES = 1 << 12


@dataclass(frozen=True)
class Damage:
    """A place in a stream where bytes are missing; ``note`` says why."""

    note: str


Block = bytes | Damage


class CorruptStream(Exception):
    """The compressed bytes are cut off or damaged; everything before was delivered."""


def plain_blocks(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the bytes of a stream, at most 1 MiB at a time."""
    while block := stream.read(_READ_BYTES):
        yield block


def gzip_blocks(blocks: Iterable[Block]) -> Iterator[Block]:
    """Decompress all members, at most 1 MiB at a time. Yield a Damage for each unreadable part."""
    return _members(blocks, _gzip_member)


def zstd_blocks(blocks: Iterable[Block]) -> Iterator[Block]:
    """Decompress all frames, at most 128 KiB at a time. Yield a Damage for each unreadable part."""
    return _members(blocks, _zstd_frame)


def joined_blocks(blocks: Iterable[Block], layers: int = _MOST_LAYERS) -> Iterator[Block]:
    """Yield JSON lines, and decompress the gzip members and zstd frames that were joined with them."""
    following = iter(blocks)
    carried = b""
    for block in following:
        if isinstance(block, Damage):
            yield from filter(None, (carried, block))
            carried = b""
            continue
        content = carried + block if carried else block
        if (at := packed_at(content)) >= 0:
            yield content[:at]
            if not layers:
                yield Damage(f"packed more than {_MOST_LAYERS} times within a text: unpack it")
                return
            rest = _members(itertools.chain([content[at:]], following), _plain_rest)
            yield from joined_blocks(rest, layers - 1)  # a member may hold packed bytes again
            return
        carried = begun_magic(content)
        yield content[: len(content) - len(carried)] if carried else content
    if carried:
        yield carried


def undamaged(blocks: Iterable[Block]) -> Iterator[bytes]:
    """Yield the bytes. Raises CorruptStream at the first Damage."""
    for block in blocks:
        if isinstance(block, Damage):
            raise CorruptStream(block.note)
        yield block


class BlockReader:
    """Blocks as a stream of bytes that can go back to the next member after a damaged one."""

    def __init__(self, blocks: Iterable[Block]) -> None:
        self._blocks = iter(blocks)
        self._pending, self._at = b"", 0
        self._remembered: deque[bytes] = deque()
        self._remembered_bytes = 0
        #: Why the blocks themselves ended early; empty while they did not.
        self.damage = ""

    def read(self, size: int = _READ_BYTES) -> bytes:
        """Return 1 to ``size`` bytes; none at the end."""
        piece = self._piece(size)
        self._remembered.append(piece)
        self._remembered_bytes += len(piece)
        while self._remembered_bytes - len(self._remembered[0]) > _REMEMBERED_BYTES:
            self._remembered_bytes -= len(self._remembered.popleft())
        return piece

    def take(self, size: int) -> bytes:
        """Return exactly ``size`` bytes; fewer only at the end."""
        content = self.read(size) if size else b""
        while len(content) < size and (more := self.read(size - len(content))):
            content += more
        return content

    def unread(self, content: bytes) -> None:
        """Put bytes back that were read last."""
        self._pending, self._at = content + self._pending[self._at :], 0

    def start_member(self) -> bytes:
        """Skip the zeros that pad members. Return the member's first bytes; none at the end."""
        self._remembered.clear()
        self._remembered_bytes = 0
        content = b""
        while len(content) < _START_BYTES and (piece := self._piece(_READ_BYTES)):
            content += piece if content else piece.lstrip(b"\0")
        self.unread(content)
        return content[:_START_BYTES]

    def seek(self) -> bool:
        """Advance to the next member, frame or line after this member's first byte. Return False if none."""
        window, start = b"".join(self._remembered), 1
        while (found := _RESUMABLE.search(window, start)) is None:
            piece = self._piece(_READ_BYTES)
            if not piece:
                return False
            window, start = window[max(len(window) - _LONGEST_MATCH_BYTES, start) :] + piece, 0
        self.unread(window[found.start() :])
        return True

    def _piece(self, size: int) -> bytes:
        if self._at == len(self._pending):
            block = b"" if self.damage else next(self._blocks, b"")
            if isinstance(block, Damage):
                self.damage, block = block.note, b""
            self._pending, self._at = block, 0
        piece = self._pending[self._at : self._at + size]
        self._at += len(piece)
        return piece


def _members(blocks: Iterable[Block], usual: Callable[[BlockReader], Iterator[bytes]]) -> Iterator[Block]:
    reader = BlockReader(blocks)
    reported = False
    while start := reader.start_member():
        try:
            for block in _decoder_of(start, usual)(reader):
                reported = False
                yield block
        except CorruptStream as error:
            # a magic number within damaged bytes begins no member, and is part of the same damage
            if not reported:
                yield Damage(str(error))
            reported = True
            if not reader.seek():
                break
    if reader.damage and not reported:
        yield Damage(reader.damage)


def _decoder_of(
    start: bytes, usual: Callable[[BlockReader], Iterator[bytes]]
) -> Callable[[BlockReader], Iterator[bytes]]:
    """Return the decoder for a member that begins with these bytes; joined files may differ in it."""
    if start.startswith(GZIP_MAGIC):
        return _gzip_member
    if start.startswith(ZSTD_MAGIC) or is_skippable(start[:MAGIC_BYTES]):
        return _zstd_frame
    return _plain_rest if start.lstrip(_BLANK)[:1] in (b"", b"{", b"[") else usual


def _plain_rest(reader: BlockReader) -> Iterator[bytes]:
    """Yield JSON lines that follow packed ones, up to the next member or the end of the stream."""
    at = -1
    while at < 0 and (block := reader.read()):
        while begun_magic(block) and (more := reader.take(_LOOKAHEAD_BYTES)):
            block += more
        if (at := packed_at(block)) >= 0:
            reader.unread(block[at:])
            block = block[:at]
        if block:
            yield block


def _gzip_member(reader: BlockReader) -> Iterator[bytes]:
    member = zlib.decompressobj(wbits=31)
    while not member.eof:
        pending = member.unconsumed_tail or reader.read(_GZIP_READ_BYTES)
        if not pending:
            raise CorruptStream("gzip: the stream ends within a member")
        before = member.copy()
        try:
            block = member.decompress(pending, _READ_BYTES)
        except zlib.error as error:
            yield from _before_damage(before, pending)
            raise CorruptStream(f"gzip: {error}") from error
        if block:
            yield block
    reader.unread(member.unused_data)


def _before_damage(member: zlib._Decompress, pending: bytes) -> Iterator[bytes]:
    """Decompress byte by byte, because on an error zlib returns nothing of the same call."""
    pieces: list[bytes] = []
    try:
        for position in range(len(pending)):
            pieces.append(member.decompress(pending[position : position + 1]))
    except zlib.error:
        pass
    if content := b"".join(pieces):
        yield content


def _zstd_frame(reader: BlockReader) -> Iterator[bytes]:
    magic = reader.take(MAGIC_BYTES)
    if is_skippable(magic):
        header = reader.take(4)
        size = int.from_bytes(header, "little")
        while size and (skipped := reader.read(min(size, _READ_BYTES))):
            size -= len(skipped)
        if size or len(header) < 4:
            raise CorruptStream("zstd: the stream ends within a skippable frame")
        return
    # 2 GiB is what `zstd --long=31` writes, which The Pile's mirrors contain
    frame = zstandard.ZstdDecompressor(max_window_size=1 << 31).decompressobj()
    for piece in _frame_pieces(reader, magic):
        try:
            block = frame.decompress(piece)
        except zstandard.ZstdError as error:
            raise CorruptStream(f"zstd: {error}") from error
        if block:
            yield block
    if not frame.eof:
        raise CorruptStream("zstd: the stream ends within a frame")


def _frame_pieces(reader: BlockReader, magic: bytes) -> Iterator[bytes]:
    """Yield the header of a frame, then block by block (RFC 8878, section 3.1.1); less if the stream is cut.

    zstd's own streaming gives no bound on what one piece of input becomes, and does not report a cut.
    """
    descriptor = reader.take(1)
    if magic != ZSTD_MAGIC or not descriptor:
        yield magic + descriptor
        return
    single_segment = bool(descriptor[0] & 0x20)
    checksum = 4 if descriptor[0] & 0x04 else 0
    content_size = (1 if single_segment else 0, 2, 4, 8)[descriptor[0] >> 6]
    dictionary = (0, 1, 2, 4)[descriptor[0] & 3]
    header = reader.take((not single_segment) + dictionary + content_size)
    if any(header[not single_segment :][:dictionary]):
        raise CorruptStream("zstd: the frame needs a dictionary, which the file does not contain")
    yield magic + descriptor + header
    last = False
    while not last and len(header := reader.take(3)) == 3:
        fields = int.from_bytes(header, "little")
        last, run_length = bool(fields & 1), (fields >> 1) & 3 == 1
        size = 1 if run_length else fields >> 3
        yield header + reader.take(size + (checksum if last else 0))
