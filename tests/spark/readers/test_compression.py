from __future__ import annotations

import gzip
import io
import random
from collections.abc import Callable, Iterable, Iterator

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.readers.compression import (
    Block,
    CorruptStream,
    Damage,
    gzip_blocks,
    joined_blocks,
    plain_blocks,
    undamaged,
    zstd_blocks,
)

Unpack = Callable[[Iterable[Block]], Iterator[Block]]


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size // 2) + b"a" * (size - size // 2)


def frames(*sizes: int, checksum: bool = False, content_size: bool = True) -> bytes:
    compressor = zstandard.ZstdCompressor(write_checksum=checksum, write_content_size=content_size)
    return b"".join(compressor.compress(noise(size)) for size in sizes)


def zstd(content: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(content)


def whole(unpack: Unpack, content: bytes) -> bytes:
    return b"".join(undamaged(unpack(plain_blocks(io.BytesIO(content)))))


def parts(unpack: Unpack, content: bytes) -> tuple[bytes, list[str]]:
    """Return the bytes that are delivered, and the notes of the damage."""
    blocks = list(unpack(plain_blocks(io.BytesIO(content))))
    data = b"".join(block for block in blocks if isinstance(block, bytes))
    return data, [block.note for block in blocks if isinstance(block, Damage)]


@pytest.mark.parametrize("checksum", [True, False])
@pytest.mark.parametrize("content_size", [True, False])
def test_zstd_of_several_frames_and_skippable_ones_is_read_whole(checksum: bool, content_size: bool) -> None:
    skippable = b"\x53\x2a\x4d\x18" + (7).to_bytes(4, "little") + b"ignored"
    sizes = (0, 1, 700_000, 300)
    content = skippable + frames(*sizes, checksum=checksum, content_size=content_size) + skippable
    assert whole(zstd_blocks, content) == b"".join(noise(size) for size in sizes)


def test_zstd_streamed_without_knowing_the_size_is_read_whole() -> None:
    target = io.BytesIO()
    with zstandard.ZstdCompressor().stream_writer(target, closefd=False) as writer:
        for size in (100_000, 5):
            writer.write(noise(size))
            writer.flush(zstandard.FLUSH_BLOCK)
    assert whole(zstd_blocks, target.getvalue()) == noise(100_000) + noise(5)


@given(st.floats(0.0001, 0.9999))
def test_a_cut_zstd_gives_what_lies_before_the_cut_and_then_reports_it(share: float) -> None:
    content = zstandard.ZstdCompressor().compress(noise(600_000))
    cut = min(int(len(content) * share) + 5, len(content) - 1)
    received, notes = parts(zstd_blocks, content[:cut])
    assert notes == ["zstd: the stream ends within a frame"]
    # every block (128 KiB) that lies whole before the cut is delivered
    lenient = zstandard.ZstdDecompressor().decompressobj().decompress(content[:cut])
    assert received == lenient == noise(600_000)[: len(lenient)]


@given(st.floats(0.0001, 0.9999))
def test_a_cut_gzip_gives_what_lies_before_the_cut_and_then_reports_it(share: float) -> None:
    content = gzip.compress(noise(300_000))
    received, notes = parts(gzip_blocks, content[: max(1, int(len(content) * share))])
    assert notes == ["gzip: the stream ends within a member"]
    assert noise(300_000).startswith(received)


@pytest.mark.parametrize(("unpack", "pack"), [(gzip_blocks, gzip.compress), (zstd_blocks, zstd)])
def test_zeros_between_and_after_the_parts_of_a_series_are_padding(
    unpack: Unpack, pack: Callable[[bytes], bytes]
) -> None:
    content = pack(b"one") + b"\0" * 512 + pack(b"two" * 10**6) + b"\0" * (2 << 20) + pack(b"3") + b"\0" * 7
    assert whole(unpack, content) == b"one" + b"two" * 10**6 + b"3"


@pytest.mark.parametrize(("unpack", "pack"), [(gzip_blocks, gzip.compress), (zstd_blocks, zstd)])
@given(st.integers(0, 2**32), st.floats(0.02, 0.98))
def test_reading_goes_on_behind_a_damaged_part_of_a_series(
    unpack: Unpack, pack: Callable[[bytes], bytes], seed: int, share: float
) -> None:
    generator = random.Random(seed)
    texts = [generator.randbytes(generator.randint(1, 90_000)).hex().encode() for _ in range(5)]
    packed = [pack(text) for text in texts]
    damaged = packed[2][: int(len(packed[2]) * share)]  # cut off, and joined with the next
    received, notes = parts(unpack, b"".join([*packed[:2], damaged, *packed[3:]]))
    assert len(notes) == 1
    assert received.startswith(texts[0] + texts[1])
    assert received.endswith(texts[3] + texts[4])


def test_what_lies_before_a_damaged_byte_is_delivered_to_the_last_block_of_deflate() -> None:
    lines = b"".join(b"%d %d\n" % (i, i * i) for i in range(40_000))
    content = bytearray(gzip.compress(lines))
    content[len(content) // 2] ^= 0xFF
    received, notes = parts(gzip_blocks, bytes(content))
    assert len(notes) == 1
    common = next((i for i, (a, b) in enumerate(zip(received, lines, strict=False)) if a != b), len(received))
    assert common > len(lines) * 0.4


def test_bytes_after_the_last_part_are_reported_once() -> None:
    content = gzip.compress(b"one") + b"signature \x1f\x8b\x08 and more"
    assert parts(gzip_blocks, content) == (
        b"one",
        ["gzip: Error -3 while decompressing data: incorrect header check"],
    )
    assert parts(zstd_blocks, zstd(b"one") + b"signature")[0] == b"one"


def test_a_stream_within_a_damaged_one_is_damaged_too() -> None:
    inner, cut = gzip.compress(noise(50_000)), gzip.compress(b"end")[:-4]
    received, notes = parts(lambda blocks: gzip_blocks(gzip_blocks(blocks)), gzip.compress(inner) + cut)
    assert received == noise(50_000)
    assert len(notes) == 1


def test_a_hundred_megabytes_of_one_character_never_stand_in_memory_at_once() -> None:
    one = b"a" * 100_000_000
    for content, unpack in (
        (zstandard.ZstdCompressor().compress(one), zstd_blocks),
        (gzip.compress(one, 1), gzip_blocks),
    ):
        blocks = undamaged(unpack(plain_blocks(io.BytesIO(content))))
        assert max(len(block) for block in blocks) <= 1 << 20


def test_strict_reading_ends_at_the_damage() -> None:
    content = bytearray(frames(400_000, 400_000, checksum=True))
    content[len(content) * 3 // 4] ^= 0xFF
    received = []
    with pytest.raises(CorruptStream):
        for block in undamaged(zstd_blocks(plain_blocks(io.BytesIO(bytes(content))))):
            received.append(block)
    assert b"".join(received).startswith(noise(400_000))


def skippable(size: int, content: bytes = b"") -> bytes:
    return b"\x50\x2a\x4d\x18" + size.to_bytes(4, "little") + content


@pytest.mark.parametrize("size", [100, 2**32 - 1])
def test_a_skippable_frame_beyond_the_end_hides_no_frame(size: int) -> None:
    frame = zstandard.compress(b"text\n")
    cut = Damage("zstd: the stream ends within a skippable frame")
    assert list(zstd_blocks([frame + skippable(size) + frame])) == [b"text\n", cut, b"text\n"]
    assert list(zstd_blocks([frame + skippable(size)[:6]])) == [b"text\n", cut]


def test_a_frame_that_needs_a_dictionary_says_so() -> None:
    samples: list[bytes | bytearray | memoryview] = [
        f"a text {number} to train on".encode() * 3 for number in range(1000)
    ]
    dictionary = zstandard.train_dictionary(1024, samples)
    packed = zstandard.ZstdCompressor(dict_data=dictionary).compress(samples[0])
    (damage,) = zstd_blocks([packed])
    assert isinstance(damage, Damage) and "needs a dictionary" in damage.note


@pytest.mark.parametrize("first", [gzip.compress, zstandard.compress])
@pytest.mark.parametrize("second", [gzip.compress, zstandard.compress, bytes])
def test_files_of_any_packing_may_be_joined(
    first: Callable[[bytes], bytes], second: Callable[[bytes], bytes]
) -> None:
    one, two = b'{"text": "one"}\n', b'{"text": "two"}\n'
    unpack = gzip_blocks if first is gzip.compress else zstd_blocks
    assert list(undamaged(unpack([first(one) + second(two)]))) == [one, two]


LINES = b"".join(b'{"text": "line %d"}\n' % number for number in range(20))


def joined(content: bytes, block_bytes: int = 1 << 20) -> tuple[bytes, list[str]]:
    pieces = [content[start : start + block_bytes] for start in range(0, len(content), block_bytes)]
    blocks = list(joined_blocks(pieces))
    data = b"".join(block for block in blocks if isinstance(block, bytes))
    return data, [block.note for block in blocks if isinstance(block, Damage)]


@pytest.mark.parametrize("block_bytes", [1, 2, 3, 5, 64, 1000, 1 << 20])
@pytest.mark.parametrize("pack", [gzip.compress, zstd, lambda content: gzip.compress(zstd(content))])
def test_a_member_after_lines_is_unpacked_wherever_a_block_ends(
    pack: Callable[[bytes], bytes], block_bytes: int
) -> None:
    for content in (
        LINES + pack(LINES),
        LINES + pack(LINES) + LINES,
        LINES + pack(LINES) + LINES + pack(LINES),
    ):
        data, notes = joined(content, block_bytes)
        assert data == LINES * (len(data) // len(LINES)) and not notes
        assert len(data) >= 2 * len(LINES)
    assert joined(LINES * 3 + b"(", block_bytes) == (LINES * 3 + b"(", [])


@pytest.mark.parametrize("tail", [b"\x1f\x8b\x08\xff", b"\x1f\x8b\x08\0 no member", b"(", b"\x1f", b"\xfd"])
def test_a_broken_text_with_a_magic_number_stays_a_text(tail: bytes) -> None:
    content = LINES + b'{"text": "' + tail + b'"}\n' + LINES
    assert joined(content) == (content, [])


def test_lines_after_a_damaged_member_are_read() -> None:
    member = bytearray(gzip.compress(noise(100_000)))
    member[5000:5100] = bytes(100)
    data, notes = joined(LINES + member + LINES)
    assert data.startswith(LINES) and data.endswith(LINES[LINES.index(b"\n") :])
    assert len(notes) == 1


def test_too_many_layers_within_a_text_are_named() -> None:
    packed = LINES
    for _ in range(9):
        packed = gzip.compress(packed)
    assert joined(LINES + packed) == (LINES, ["packed more than 3 times within a text: unpack it"])


@pytest.mark.parametrize("between", [b"", b"\n\n\n\n\n", b"\xef\xbb\xbf", b"\0\0\0", b" \r\n"])
@pytest.mark.parametrize("unpack", [gzip_blocks, zstd_blocks])
def test_lines_between_members_are_read(unpack: Unpack, between: bytes) -> None:
    content = gzip.compress(LINES) + between + LINES + zstd(LINES) + between + LINES
    found = whole(unpack, content).replace(b"\xef\xbb\xbf", b"").split(b"\n")
    assert [line for line in found if line.strip()] == LINES.splitlines() * 4
