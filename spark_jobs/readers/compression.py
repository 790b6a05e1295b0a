"""Streaming decompression with bounded memory that delivers every byte before a cut, then says so."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import BinaryIO, cast

import zstandard

_READ = 1 << 20
_ZSTD_BLOCK = 1 << 17
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


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
    """Decompressed bytes of all frames, at most 128 KiB at a time."""
    watched = _WatchedFrames(stream)
    # 2 GiB is what `zstd --long=31` writes, which The Pile's mirrors contain
    decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 31)
    reader = decompressor.stream_reader(cast(BinaryIO, watched), read_across_frames=True)
    while True:
        try:
            block = reader.read(_ZSTD_BLOCK)
        except zstandard.ZstdError as error:
            raise CorruptStream(f"zstd: {error}") from error
        if not block:
            break
        yield block
    if not watched.complete:
        raise CorruptStream("zstd: the stream ends within a frame")


class _WatchedFrames:
    """A source that follows the frame and block headers passing by (RFC 8878, section 3.1).

    The stream reader ends silently at a cut; whether the last frame was whole is only visible here.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._skip = 0
        self._header = b""
        self._in_frame = False
        self._checksum = False
        self._last_block = False

    @property
    def complete(self) -> bool:
        return not self._in_frame and not self._header and self._skip == 0

    def read(self, size: int) -> bytes:
        content = self._stream.read(size)
        position = 0
        while position < len(content):
            if self._skip:
                step = min(self._skip, len(content) - position)
                self._skip -= step
                position += step
                if self._skip == 0 and self._last_block:
                    self._in_frame = self._last_block = False
                continue
            self._header += content[position : position + 1]
            position += 1
            self._follow()
        return content

    def _follow(self) -> None:
        header = self._header
        if self._in_frame:
            if len(header) == 3:
                fields = int.from_bytes(header, "little")
                self._last_block = bool(fields & 1)
                run_length = (fields >> 1) & 3 == 1
                self._skip = (1 if run_length else fields >> 3) + 4 * (self._last_block and self._checksum)
                self._header = b""
                if self._skip == 0 and self._last_block:
                    self._in_frame = self._last_block = False
        elif header[1:4] == b"\x2a\x4d\x18" and header[0] & 0xF0 == 0x50:
            if len(header) == 8:  # a skippable frame, with its size
                self._skip, self._header = int.from_bytes(header[4:8], "little"), b""
        elif len(header) == 5 and header[:4] == _ZSTD_MAGIC:
            descriptor = header[4]
            single_segment = bool(descriptor & 0x20)
            self._checksum = bool(descriptor & 0x04)
            content_size = (1 if single_segment else 0, 2, 4, 8)[descriptor >> 6]
            self._skip = (0, 1, 2, 4)[descriptor & 3] + content_size + (not single_segment)
            self._header, self._in_frame, self._last_block = b"", True, False
