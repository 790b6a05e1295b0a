"""Streaming decompression with bounded memory that delivers every byte before a cut, then says so."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import BinaryIO

import zstandard

_READ = 1 << 20
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_SKIPPABLE = b"\x2a\x4d\x18"


class CorruptStream(Exception):
    """The compressed bytes are cut off or damaged; everything before was delivered."""


def plain_blocks(stream: BinaryIO) -> Iterator[bytes]:
    """The bytes as they are."""
    while block := stream.read(_READ):
        yield block


def gzip_blocks(stream: BinaryIO) -> Iterator[bytes]:
    """Decompressed bytes of all members, at most 1 MiB at a time."""
    member = zlib.decompressobj(wbits=31)
    started = False
    pending = b""
    while True:
        pending = pending or stream.read(_READ)
        if not pending:
            if started:
                raise CorruptStream("gzip: the stream ends within a member")
            return
        if not started and not pending.strip(b"\0"):  # padding after the last member
            pending = b""
            continue
        try:
            block = member.decompress(pending, _READ)
        except zlib.error as error:
            raise CorruptStream(f"gzip: {error}") from error
        started = True
        if block:
            yield block
        if member.eof:
            pending, member, started = member.unused_data, zlib.decompressobj(wbits=31), False
        else:
            pending = member.unconsumed_tail


def zstd_blocks(stream: BinaryIO) -> Iterator[bytes]:
    """Decompressed bytes of all frames, at most one block of them (128 KiB) at a time."""
    # 2 GiB is what `zstd --long=31` writes, which The Pile's mirrors contain
    decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 31)
    while magic := _take(stream, 4):
        if magic[1:] == _SKIPPABLE and magic[0] & 0xF0 == 0x50:
            size = int.from_bytes(_take(stream, 4), "little")
            while size and (skipped := stream.read(min(size, _READ))):
                size -= len(skipped)
            continue
        frame = decompressor.decompressobj()
        for piece in _frame_pieces(stream, magic):
            try:
                block = frame.decompress(piece)
            except zstandard.ZstdError as error:
                raise CorruptStream(f"zstd: {error}") from error
            if block:
                yield block
        if not frame.eof:
            raise CorruptStream("zstd: the stream ends within a frame")


def _frame_pieces(stream: BinaryIO, magic: bytes) -> Iterator[bytes]:
    """The header of a frame, then block by block (RFC 8878, section 3.1.1); less where the stream is cut.

    zstd's own streaming gives no bound on what one piece of input becomes, and no word about a cut.
    """
    descriptor = _take(stream, 1)
    if magic != _ZSTD_MAGIC or not descriptor:
        yield magic + descriptor
        return
    single_segment = bool(descriptor[0] & 0x20)
    checksum = 4 if descriptor[0] & 0x04 else 0
    content_size = (1 if single_segment else 0, 2, 4, 8)[descriptor[0] >> 6]
    dictionary = (0, 1, 2, 4)[descriptor[0] & 3]
    yield magic + descriptor + _take(stream, (not single_segment) + dictionary + content_size)
    last = False
    while not last and len(header := _take(stream, 3)) == 3:
        fields = int.from_bytes(header, "little")
        last, run_length = bool(fields & 1), (fields >> 1) & 3 == 1
        size = 1 if run_length else fields >> 3
        yield header + _take(stream, size + (checksum if last else 0))


def _take(stream: BinaryIO, size: int) -> bytes:
    """``size`` bytes, fewer only at the end of the stream."""
    content = b""
    while len(content) < size and (more := stream.read(size - len(content))):
        content += more
    return content
