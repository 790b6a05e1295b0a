"""Reads records that the fast JSON parser refuses, so that one bad value does not lose a record."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from include.contracts.documents import DropReason, RepairReason
from spark_jobs.readers.formats import TEXT_KEYS
from spark_jobs.readers.pieces import BYTE_ORDER_MARK, RECORD_SEPARATORS
from spark_jobs.readers.values import split_values

#: Python refuses to parse longer integers, and they are not useful as numbers.
_MOST_DIGITS = 4000
_MOST_CANDIDATES = 100
#: Levels of a value of the metadata. Python's recursion limit allows somewhat more, other parsers less.
MOST_LEVELS = 400
_SURROGATE = re.compile("[\ud800-\udfff]")
#: The decoder represents an invalid byte 0xNN by the surrogate U+DCNN.
_ESCAPED_BYTE = re.compile("[\udc80-\udcff]")
_STRING_OR_BRACKET = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[{}\[\]]', re.DOTALL)
_RECORD_START = re.compile(rb'\{\s*"')


@dataclass
class Salvaged:
    """A JSON value that Python's parser could read, and what had to be repaired for it."""

    value: Any
    repairs: set[RepairReason] = field(default_factory=set)


def salvaged(line: bytes) -> list[Salvaged | DropReason]:
    """Return the records in bytes that are not one plain JSON value, with a reason in place of each bad one.

    Several records on one line, zero bytes around a record, and a record after one that breaks off are found.
    """
    content = line.removeprefix(BYTE_ORDER_MARK).strip(RECORD_SEPARATORS + b",")
    only = parsed(content)
    if not isinstance(only, DropReason):
        return [only]
    pieces = [piece for piece in split_values([content], len(content)) if isinstance(piece, bytes)]
    if pieces == [content]:
        return [*_broken(content, only)]
    return [record for piece in pieces for record in _records_of(piece)]


def parsed(content: bytes) -> Salvaged | DropReason:
    """Read one JSON value by Python's own parser; return the reason if it is none."""
    repairs: set[RepairReason] = set()
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = content.decode(errors="surrogateescape")
        repairs.add(RepairReason.INVALID_UTF8)
    try:
        try:
            value = _loaded(text, repairs)
        except RecursionError:
            repairs.add(RepairReason.NESTING)
            value = _loaded(_shallow_text(text), repairs)
    except (ValueError, RecursionError):
        is_utf8 = RepairReason.INVALID_UTF8 not in repairs
        return DropReason.INVALID_JSON if is_utf8 else DropReason.INVALID_UTF8
    return Salvaged(value, repairs)


def _loaded(text: str, repairs: set[RepairReason]) -> Any:
    try:
        return json.loads(text, parse_int=_integer)
    except ValueError:
        value = json.loads(text, parse_int=_integer, strict=False)
    repairs.add(RepairReason.CONTROL)
    return value


def _shallow_text(text: str) -> str:
    """Return a record with null for its values of more than MOST_LEVELS, without parsing it."""
    pieces: list[str] = []
    copied = start = depth = deepest = 0
    for token in _STRING_OR_BRACKET.finditer(text):
        mark = text[token.start()]
        if mark in "{[":
            depth += 1
            if depth == 2:
                start, deepest = token.start(), 0
            deepest = max(deepest, depth)
        elif mark in "}]":
            depth -= 1
            if depth == 1 and deepest > MOST_LEVELS + 1:
                pieces += text[copied:start], "null"
                copied = token.end()
    return "".join((*pieces, text[copied:]))


def shallow(record: dict[str, Any], repairs: set[RepairReason]) -> dict[str, Any]:
    """Return a record with null for its values of more than MOST_LEVELS."""
    deep = [key for key, value in record.items() if _is_deep(value)]
    if not deep:
        return record
    repairs.add(RepairReason.NESTING)
    return {**record, **dict.fromkeys(deep)}


def _is_deep(value: Any) -> bool:
    """Return True if a value has too many levels; without recursion, which is what they would exceed."""
    level, levels = [value], 0
    while level := [item for item in level if isinstance(item, dict | list | tuple)]:
        levels += 1
        if levels > MOST_LEVELS:
            return True
        level = [child for item in level for child in (item.values() if isinstance(item, dict) else item)]
    return False


def repaired(value: Any, repairs: set[RepairReason]) -> Any:
    """Return the value as JSON in UTF-8 can hold it; every replacement adds to ``repairs``."""
    if isinstance(value, str):
        if value.isascii() or not _SURROGATE.search(value):
            return value
        is_byte = _ESCAPED_BYTE.search(value) and RepairReason.INVALID_UTF8 in repairs
        if not is_byte or _SURROGATE.search(_ESCAPED_BYTE.sub("", value)):
            repairs.add(RepairReason.HALF_SURROGATE)
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, float) and not math.isfinite(value):
        repairs.add(RepairReason.NUMBER)
        return None
    if isinstance(value, dict):
        return _repaired_object(value, repairs)
    if isinstance(value, list | tuple):
        return [repaired(item, repairs) for item in value]
    return value


def _repaired_object(value: dict[Any, Any], repairs: set[RepairReason]) -> dict[Any, Any]:
    """Repair keys and values. Of keys that become the same, the later ones get a mark more."""
    found: dict[Any, Any] = {}
    for key, item in value.items():
        name = repaired(key, repairs)
        while name in found:
            name += "\ufffd"
        found[name] = repaired(item, repairs)
    return found


def is_encodable(text: str) -> bool:
    """Return True if the text has no half of a surrogate pair."""
    return text.isascii() or not _SURROGATE.search(text)


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MOST_DIGITS else math.inf


def _records_of(piece: bytes) -> Iterator[Salvaged | DropReason]:
    record = parsed(piece)
    if isinstance(record, DropReason):
        yield from _broken(piece, record)
    else:
        yield record


def _broken(piece: bytes, reason: DropReason) -> Iterator[Salvaged | DropReason]:
    """Yield the reason for a broken record, and the whole document after it, if one begins within it."""
    if not piece.strip(b"\0"):
        yield DropReason.CORRUPT_SHARD
        return
    yield reason
    # a file that was cut off may be joined with the next: that one's first record ends this line
    starts = [match.start() for match in _RECORD_START.finditer(piece, 1)]
    for start in starts[:_MOST_CANDIDATES]:
        record = parsed(piece[start:])
        if not isinstance(record, DropReason):
            if any(key in record.value for key in TEXT_KEYS):
                yield record
            return
