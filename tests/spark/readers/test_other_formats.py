"""Files that are no shards are recognised by their first bytes, and shards are not taken for them."""

from __future__ import annotations

import io
import tarfile

import pytest

from spark_jobs.readers.other_formats import other_format


def tar(name: str = "a.txt", form: int = tarfile.USTAR_FORMAT) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=form) as archive:
        archive.addfile(tarfile.TarInfo(name))
    return sink.getvalue()


def old_tar() -> bytes:
    """Return a header without the magic number of later archives, with its checksum."""
    header = bytearray(tar()[:512])
    header[257:265] = bytes(8)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS pointer"),
        (b"/annex/objects/SHA256E-s1", "git-annex pointer"),
        (b"PARE", "encrypted parquet"),
        (b"PK\x03\x04rest", "a zip archive"),
        (b"PK\x05\x06", "an empty zip archive"),
        (b"BZh91AY", "bzip2"),
        (b"\xfd7zXZ\0", "xz"),
        (b"\x04\x22\x4d\x18", "lz4"),
        (b"\xff\x06\0\0sNaPpY", "snappy"),
        (b"\x1f\x9d\x90", "compress"),
        (b"\x89LZO\0\r\n", "lzop"),
        (b"7z\xbc\xaf\x27\x1c", "7z"),
        (b"Rar!\x1a\x07\0", "rar"),
        (b"ARROW1\0\0", "an Arrow file"),
        (b"\xff\xff\xff\xff\x10", "an Arrow stream"),
        (b"ORC", "an ORC file"),
        (b"Obj\x01", "an Avro file"),
        (b"SQLite format 3\0", "SQLite"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"WARC/1.0", "WARC"),
        (b"%PDF-1.7", "PDF"),
        (b"\x89PNG\r\n", "PNG"),
        (b"\xff\xd8\xff\xe0", "JPEG"),
        (b"GIF89a", "GIF"),
        (tar(), "a tar archive"),
        (tar("x" * 120, tarfile.GNU_FORMAT), "a tar archive"),
        (old_tar(), "a tar archive"),
        (b"\0", "nothing but zero bytes"),
        (b"\0" * 600, "nothing but zero bytes"),
        (b"<!DOCTYPE html>", "an HTML page"),
        (b"\xef\xbb\xbf \n<HTML lang='en'>", "an HTML page"),
        (b"<?xml version='1.0'?>\n<!-- a\nb --><html>", "an HTML page"),
        (b"<body>", "an HTML page"),
        (b"<?xml version='1.0'?><Error/>", "an XML document"),
        (b"<Error>", "an XML document"),
    ],
)
def test_another_format_is_named(head: bytes, name: str) -> None:
    assert name in other_format(head)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b'{"text": "<html>"}',
        b"\xef\xbb\xbf{}",
        b"PAR1",
        b"\x1f\x8b\x08",
        b"\x28\xb5\x2f\xfd",
        b"< 5 is a number",
        b"PK",
        b"\0{}",
        tar()[:511],
        bytes([*tar()[:148], *b"0000001\0", *tar()[156:]]),
        b"x" * 1000,
    ],
)
def test_a_shard_or_an_unknown_file_is_none_of_them(head: bytes) -> None:
    assert other_format(head) == ""
