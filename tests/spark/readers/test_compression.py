from __future__ import annotations

import gzip
import io
import random

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.readers.compression import CorruptStream, gzip_blocks, zstd_blocks


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size // 2) + b"a" * (size - size // 2)


def frames(*sizes: int, checksum: bool = False, content_size: bool = True) -> bytes:
    compressor = zstandard.ZstdCompressor(write_checksum=checksum, write_content_size=content_size)
    return b"".join(compressor.compress(noise(size)) for size in sizes)


@pytest.mark.parametrize("checksum", [True, False])
@pytest.mark.parametrize("content_size", [True, False])
def test_zstd_of_several_frames_and_skippable_ones_is_read_whole(checksum: bool, content_size: bool) -> None:
    skippable = b"\x53\x2a\x4d\x18" + (7).to_bytes(4, "little") + b"ignored"
    sizes = (0, 1, 700_000, 300)
    content = skippable + frames(*sizes, checksum=checksum, content_size=content_size) + skippable
    assert b"".join(zstd_blocks(io.BytesIO(content))) == b"".join(noise(size) for size in sizes)


def test_zstd_streamed_without_knowing_the_size_is_read_whole() -> None:
    target = io.BytesIO()
    with zstandard.ZstdCompressor().stream_writer(target, closefd=False) as writer:
        for size in (100_000, 5):
            writer.write(noise(size))
            writer.flush(zstandard.FLUSH_BLOCK)
    assert b"".join(zstd_blocks(io.BytesIO(target.getvalue()))) == noise(100_000) + noise(5)


@given(st.floats(0.0001, 0.9999))
def test_a_cut_zstd_gives_what_lies_before_the_cut_and_then_says_so(share: float) -> None:
    whole = noise(600_000)
    content = zstandard.ZstdCompressor().compress(whole)
    cut = min(int(len(content) * share) + 5, len(content) - 1)
    received = []
    with pytest.raises(CorruptStream, match="ends within a frame"):
        for block in zstd_blocks(io.BytesIO(content[:cut])):
            received.append(block)
    # every block (128 KiB) that lies whole before the cut is delivered
    lenient = zstandard.ZstdDecompressor().decompressobj().decompress(content[:cut])
    assert b"".join(received) == lenient == whole[: len(lenient)]


@given(st.floats(0.0001, 0.9999))
def test_a_cut_gzip_gives_what_lies_before_the_cut_and_then_says_so(share: float) -> None:
    content = gzip.compress(noise(300_000))
    blocks = gzip_blocks(io.BytesIO(content[: max(1, int(len(content) * share))]))
    received = []
    with pytest.raises(CorruptStream, match="gzip"):
        for block in blocks:
            received.append(block)
    assert noise(300_000).startswith(b"".join(received))


def test_gzip_of_several_members_with_padding_is_read_whole() -> None:
    content = gzip.compress(b"one") + gzip.compress(b"two" * 10**6) + b"\0" * 512
    assert b"".join(gzip_blocks(io.BytesIO(content))) == b"one" + b"two" * 10**6


def test_a_hundred_megabytes_of_one_character_never_stand_in_memory_at_once() -> None:
    one = b"a" * 100_000_000
    for content, blocks in (
        (zstandard.ZstdCompressor().compress(one), zstd_blocks),
        (gzip.compress(one, 1), gzip_blocks),
    ):
        assert max(len(block) for block in blocks(io.BytesIO(content))) <= 1 << 20


def test_damage_in_the_middle_is_an_error_after_the_good_part() -> None:
    content = bytearray(frames(400_000, 400_000, checksum=True))
    content[len(content) * 3 // 4] ^= 0xFF
    received = []
    with pytest.raises(CorruptStream):
        for block in zstd_blocks(io.BytesIO(bytes(content))):
            received.append(block)
    assert b"".join(received).startswith(noise(400_000))
