"""Chooses by the beginning of a text how it is split into records."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator

import orjson

from spark_jobs.readers.compression import Block, Damage
from spark_jobs.readers.lines import split_lines
from spark_jobs.readers.pieces import BYTE_ORDER_MARK, Piece
from spark_jobs.readers.values import split_values, whole_values

#: An object whose first key stands on the line after its brace.
_INDENTED = re.compile(rb"\{[ \t\r]*\n\s*\"")
#: The messages of a conversation, which together are one record, name the role of who wrote them.
_ROLE = re.compile(rb'"role"\s*:')


def split_records(head: bytes, blocks: Iterable[Block], limit_bytes: int) -> Iterator[Piece]:
    """Cut JSON lines, JSON arrays and JSON of any layout into records; ``head`` begins the text.

    An Overlong stands for each record above the limit, and a Torn for each one that a Damage cuts off.
    """
    blocks = _without_mark(blocks)
    content = head.removeprefix(BYTE_ORDER_MARK).lstrip(b" \t\r\n\0")
    if _is_array(content) or _spans_lines(content) or _shares_lines(content):
        return split_values(blocks, limit_bytes)
    if b"\r" in content and b"\n" not in content:  # line ends of old Mac programs
        blocks = (b if isinstance(b, Damage) else b.replace(b"\r", b"\n") for b in blocks)
    return split_lines(blocks, limit_bytes)


def _without_mark(blocks: Iterable[Block]) -> Iterator[Block]:
    following = iter(blocks)
    for block in following:
        yield block.removeprefix(BYTE_ORDER_MARK) if isinstance(block, bytes) else block
        break
    yield from following


def _is_array(content: bytes) -> bool:
    """Return True for arrays of records; False for lines that are a list or a conversation each."""
    if content[:1] != b"[":
        return False
    line, _, rest = content.partition(b"\n")
    if not _is_json(line):
        return True
    records, _ = whole_values(line)
    is_alone = rest.lstrip()[:1] != b"["
    return bool(records) and (is_alone or _ROLE.search(records[0]) is None)


def _spans_lines(content: bytes) -> bool:
    """Return True if the first record goes on over the end of its line."""
    line, line_feed, _ = content.partition(b"\n")
    if not line_feed or content[:1] != b"{" or _is_json(line):
        return False
    if _INDENTED.match(content):
        return True
    whole, _ = whole_values(content)
    return bool(whole) and len(whole[0]) > len(line) and _is_json(whole[0])


def _shares_lines(content: bytes) -> bool:
    """Return True if many records come without a line end between them."""
    if content[:1] != b"{" or b"\n" in content or b"\r" in content:
        return False
    whole, _ = whole_values(content)
    return len(whole) > 1


def _is_json(content: bytes) -> bool:
    try:
        orjson.loads(content)
    except orjson.JSONDecodeError:
        try:
            json.loads(content)  # NaN and Infinity, which Python's writers leave
        except (ValueError, RecursionError):
            return False
    return True
