from __future__ import annotations

import codecs
import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from spark_jobs.readers.compression import plain_blocks, undamaged
from spark_jobs.readers.formats import Companion, Container, Unpacked, companion_of, unpack
from spark_jobs.readers.salvage import Salvaged, salvaged
from spark_jobs.readers.splitting import split_records

TEXTS = [f"text {i} é 漢" for i in range(200)]
LINES = b"".join(json.dumps({"text": text}).encode() + b"\n" for text in TEXTS)
RAW = "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in TEXTS)


def unpacked(content: bytes) -> Unpacked:
    return unpack(plain_blocks(io.BytesIO(content)))


def texts(content: bytes) -> list[str]:
    found = unpacked(content)
    assert not found.other
    return [json.loads(piece)["text"] for piece in split_records(found.head, found.blocks, 1 << 20)]  # type: ignore[arg-type]


def zstd(content: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(content)


@pytest.mark.parametrize(
    ("content", "container"),
    [
        (LINES, Container.LINES),
        (gzip.compress(LINES), Container.GZIP),
        (zstd(LINES), Container.ZSTD),
        (gzip.compress(gzip.compress(LINES)), Container.GZIP),
        (zstd(gzip.compress(zstd(LINES))), Container.ZSTD),
        (RAW.encode("utf-8-sig"), Container.LINES),
        (RAW.encode("utf-16"), Container.LINES),
        (RAW.encode("utf-16-le"), Container.LINES),
        (RAW.encode("utf-16-be"), Container.LINES),
        (RAW.encode("utf-32"), Container.LINES),
        (RAW.encode("utf-32-be"), Container.LINES),
        (gzip.compress(RAW.encode("utf-16")), Container.GZIP),
    ],
)
def test_layers_and_encodings_are_taken_off(content: bytes, container: Container) -> None:
    assert texts(content) == TEXTS
    assert unpacked(content).container is container


@pytest.mark.parametrize(
    "layout",
    [
        json.dumps,
        lambda records: json.dumps(records, indent=2),
        lambda records: json.dumps(records, indent="\t", ensure_ascii=False),
        lambda records: "[\n" + ",\n".join(map(json.dumps, records)) + "\n]",
        lambda records: "[" + "\n,".join(map(json.dumps, records)) + "]",
        lambda records: "\n".join(json.dumps(record, indent=4) for record in records),
        lambda records: "\r\n".join(map(json.dumps, records)),
        lambda records: "\r".join(map(json.dumps, records)),
        lambda records: "".join(map(json.dumps, records)),
        lambda records: " ".join(map(json.dumps, records)),
    ],
)
def test_records_are_found_in_any_layout(layout: Callable[[list[dict[str, object]]], str]) -> None:
    records: list[dict[str, object]] = [
        {"meta": {"n": [i], "s": "}{\n"}, "text": text} for i, text in enumerate(TEXTS)
    ]
    assert texts(layout(records).encode()) == TEXTS
    assert texts(gzip.compress(layout(records).encode())) == TEXTS


def test_a_pretty_printed_record_longer_than_the_head_is_one_record() -> None:
    long = "x" * 400_000
    content = "\n".join(json.dumps({"html": long, "text": text}, indent=1) for text in TEXTS[:3])
    assert texts(content.encode()) == TEXTS[:3]


def test_arrays_of_records_that_follow_each_other_are_read() -> None:
    assert texts(b'[{"text": "a"}, {"text": "b"}]\n[{"text": "c"}]\n') == ["a", "b", "c"]
    assert texts(b'[[{"text": "a"}, {"text": "b"}]]') == ["a", "b"]


def test_an_array_may_begin_with_something_else_than_a_record() -> None:
    found = unpacked(b'[null, {"text": "a"}]')
    assert list(split_records(found.head, found.blocks, 1000)) == [b"null", b'{"text": "a"}']


def test_an_array_that_is_the_whole_file_is_read_whatever_its_records_are() -> None:
    found = unpacked(b'[{"role": "user", "content": "a"}, {"content": "b"}]')
    assert len(list(split_records(found.head, found.blocks, 1000))) == 2


def test_lines_that_are_a_conversation_each_are_left_as_they_are() -> None:
    content = b'[{"role": "user", "content": "a"}, {"role": "x", "content": "b"}]\n[{"content": "c"}]\n'
    found = unpacked(content)
    assert list(split_records(found.head, found.blocks, 1000)) == content.splitlines()


def archive(kind: str) -> bytes:
    target = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(target, "w") as made:
            made.writestr("a.jsonl", LINES)
    else:
        form = {"pax": tarfile.PAX_FORMAT, "gnu": tarfile.GNU_FORMAT, "ustar": tarfile.USTAR_FORMAT}[kind]
        with tarfile.open(fileobj=target, mode="w", format=form) as tar:
            info = tarfile.TarInfo("a.jsonl")
            info.size = len(LINES)
            tar.addfile(info, io.BytesIO(LINES))
    return target.getvalue()


def parquet() -> bytes:
    target = io.BytesIO()
    pq.write_table(pa.table({"text": ["a"]}), target)
    return target.getvalue()


def old_tar() -> bytes:
    """Make an archive as they were before they had a magic number."""
    content = bytearray(archive("ustar"))
    content[257:265] = bytes(8)
    content[148:156] = b" " * 8
    content[148:156] = b"%06o\0 " % sum(content[:512])
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (archive("pax"), "a tar archive"),
        (archive("gnu"), "a tar archive"),
        (old_tar(), "a tar archive"),
        (gzip.compress(archive("ustar")), "a tar archive"),
        (zstd(archive("gnu")), "a tar archive"),
        (archive("zip"), "a zip archive"),
        (gzip.compress(parquet()), "parquet packed with gzip"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n", "a Git LFS pointer"),
        (b"\xef\xbb\xbfversion https://git-lfs.github.com/spec/v1\r\noid sha256:00", "a Git LFS pointer"),
        (b"version https://hawser.github.com/spec/v1\noid sha256:00\n", "a Git LFS pointer"),
        (b"/annex/objects/SHA256E-s1--00.jsonl\n", "a git-annex pointer"),
        (b"../../.git/annex/objects/x1/y2/SHA256E-s1--00/SHA256E-s1--00.jsonl", "a git-annex pointer"),
        (b"# xet version 0\nfilesize = 5\n", "a Xet pointer"),
        (b"outs:\n- md5: 00\n  path: a.jsonl\n", "a DVC pointer"),
        (b"../../blobs/0123456789abcdef", "a link that was saved as text"),
        (b"<!DOCTYPE html>\n<html><body>404</body></html>", "an HTML page"),
        (b"\xef\xbb\xbf\n <HTML>", "an HTML page"),
        (gzip.compress(b"<html>"), "an HTML page"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "an XML document"),
        (b"<Error><Code>NoSuchKey</Code></Error>", "an XML document"),
        (b"BZh91AY&SY", "bzip2"),
        (b"\xfd7zXZ\0\0", "xz"),
        (b"\0" * 5000, "nothing but zero bytes"),
        (gzip.compress(gzip.compress(gzip.compress(gzip.compress(LINES)))), "packed more than 3 times"),
    ],
)
def test_what_is_no_shard_is_named_as_what_it_is(content: bytes, name: str) -> None:
    assert unpacked(content).other.startswith(name)


def test_parquet_and_nothing_are_told_apart_from_text() -> None:
    assert unpacked(parquet()).container is Container.PARQUET
    for content in (b"", b" \n\r\n", b"\xef\xbb\xbf\n"):
        assert unpacked(content).container is Container.EMPTY
    assert unpacked(gzip.compress(b"")).is_blank
    assert not unpacked(gzip.compress(LINES)[:12]).is_blank


def test_unpacking_changes_no_byte_of_the_text() -> None:
    found = unpacked(gzip.compress(LINES * 300))
    assert b"".join(undamaged(found.blocks)) == LINES * 300


@pytest.mark.parametrize(
    ("keys", "companion"),
    [
        ({"id", "quality_signals"}, Companion.QUALITY_SIGNALS),
        ({"id", "quality_signals", "raw_content"}, None),
        ({"id", "signature_sim0.7"}, Companion.MINHASH),
        ({"shard_id", "doc_id", "digest"}, Companion.DUPLICATES),
        ({"doc_id"}, None),
    ],
)
def test_companions_are_known_by_their_keys(keys: set[str], companion: Companion | None) -> None:
    assert companion_of(keys) is companion


@pytest.mark.parametrize("zeros", [4, 300_000])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd], ids=["plain", "gzip", "zstd"])
def test_zeros_before_the_content_hide_nothing(zeros: int, pack: Callable[[bytes], bytes]) -> None:
    found = unpacked(bytes(zeros) + pack(LINES))
    assert found.other == "" and found.starts_as_json
    content = [block for block in found.blocks if isinstance(block, bytes)]
    assert b"".join(content) == LINES


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_white_space_hides_no_encoding(encoding: str) -> None:
    found = unpacked(("\n \n" + LINES.decode()).encode(encoding))
    assert found.encoding == encoding and found.head.lstrip() == LINES


@pytest.mark.parametrize(
    "mark", [codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF8, codecs.BOM_UTF32_LE]
)
def test_a_byte_order_mark_alone_is_an_empty_file(mark: bytes) -> None:
    assert unpacked(mark).is_blank


@pytest.mark.parametrize("separator", ["\x1e", "\x0b", "\x0c\n", "\u2028", "\x85", "\n\x1e"])
def test_separators_of_records_are_no_records(separator: str) -> None:
    records = [json.dumps({"text": text}) for text in ("a", "b", "c")]
    content = (separator + separator.join(records)).encode()
    found = unpacked(content)
    pieces = [piece for piece in split_records(found.head, found.blocks, 1000) if isinstance(piece, bytes)]
    values = [record for piece in pieces for record in salvaged(piece)]
    assert [value.value["text"] for value in values if isinstance(value, Salvaged)] == ["a", "b", "c"]
    assert len(values) == 3
