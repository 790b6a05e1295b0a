"""Recognises files in other formats, and names the format and the remedy."""

from __future__ import annotations

import re

from spark_jobs.readers.pieces import BYTE_ORDER_MARK

ZEROS = "nothing but zero bytes, as an interrupted download leaves them: fetch the file again"

_TAR_BLOCK = 512
_TAR_CHECKSUM = slice(148, 156)

#: (bytes at the beginning, what the file is).
_BEGINNINGS = (
    (b"PARE", "an encrypted parquet file: decrypt it"),
    (b"PK\x03\x04", "a zip archive: unpack it"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"BZh", "bzip2: pack it again with gzip or zstd"),
    (b"\xfd7zXZ\0", "xz: pack it again with gzip or zstd"),
    (b"\x04\x22\x4d\x18", "lz4: pack it again with gzip or zstd"),
    (b"\xff\x06\0\0sNaPpY", "snappy: pack it again with gzip or zstd"),
    (b"\x1f\x9d", "compress (.Z): pack it again with gzip or zstd"),
    (b"\x89LZO\0", "lzop: pack it again with gzip or zstd"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it"),
    (b"Rar!\x1a\x07", "a rar archive: unpack it"),
    (b"ARROW1", "an Arrow file: save it as parquet or JSON lines"),
    (b"\xff\xff\xff\xff", "an Arrow stream, as `datasets` caches it: save it as parquet or JSON lines"),
    (b"ORC", "an ORC file: save it as parquet or JSON lines"),
    (b"Obj\x01", "an Avro file: save it as parquet or JSON lines"),
    (b"SQLite format 3\0", "an SQLite database: save its texts as parquet or JSON lines"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file: save its texts as parquet or JSON lines"),
    (b"WARC/", "a WARC file: extract its texts to JSON lines"),
    (b"%PDF-", "a PDF file: extract its text to JSON lines"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
)
#: What cannot be read where it follows JSON lines.
_WITHIN = re.compile(
    rb"(?:\A|[}\]])\s*(BZh[1-9]1AY&SY|\xfd7zXZ\0|\x04\x22\x4d\x18|\xff\x06\0\0sNaPpY|PK\x03\x04"
    rb"|7z\xbc\xaf\x27\x1c|Rar!\x1a\x07|Obj\x01|ARROW1\0|PAR1\x15)"
)
_HTML = re.compile(
    rb"(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.I | re.S
)
#: Small texts that stand for a file which is somewhere else.
_POINTERS = (
    (
        re.compile(rb"version https?://(?:git-lfs\.github\.com|hawser\.github\.com|git-media\.io)/"),
        "a Git LFS pointer, not the file: run `git lfs pull`",
    ),
    (
        re.compile(rb"(?:(?:\.\./)*\.git)?/annex/objects/"),
        "a git-annex pointer, not the file: run `git annex get`",
    ),
    (re.compile(rb"# xet version "), "a Xet pointer, not the file: fetch the file itself"),
    (re.compile(rb"outs:\s+- (?:md5|etag|hash|size)"), "a DVC pointer, not the file: run `dvc pull`"),
    (
        re.compile(rb"(?:\.\./)+\S{1,1000}\s*\Z"),
        "a link that was saved as text: fetch the file that it leads to",
    ),
)
_MARKUP = re.compile(rb"<[?!a-z]", re.I)


def other_format(head: bytes) -> str:
    """Name the format that these first bytes begin, with the remedy; empty for none of those known here."""
    for beginning, name in _BEGINNINGS:
        if head.startswith(beginning):
            return name
    if _is_tar(head):
        return "a tar archive: unpack it"
    if head and not head.strip(b"\0"):
        return ZEROS
    text = head.removeprefix(BYTE_ORDER_MARK).lstrip()
    for pointer, name in _POINTERS:
        if pointer.match(text):
            return name
    if _HTML.match(text):
        return "an HTML page, such as a server's error: fetch the file again"
    if _MARKUP.match(text):
        return "an XML document, such as a server's error: fetch the file again"
    return ""


def other_format_within(line: bytes) -> str:
    """Name the format that begins in or after a JSON line, because files were joined; empty for none."""
    found = _WITHIN.search(line)
    return (other_format(line[found.start(1) :]) or "a parquet file: keep it apart") if found else ""


def _is_tar(head: bytes) -> bool:
    """Check the header's checksum: old archives have no magic number."""
    header = head[:_TAR_BLOCK]
    if len(header) < _TAR_BLOCK or not header[0]:
        return False
    written = re.fullmatch(rb"[ \0]*([0-7]+)[ \0]*", header[_TAR_CHECKSUM])
    unsummed = sum(header) - sum(header[_TAR_CHECKSUM]) + 8 * ord(" ")
    return written is not None and int(written[1], 8) == unsummed
