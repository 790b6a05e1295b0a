"""Converts a record of any accepted schema to the fields of a document, or to the reason for its drop."""

from __future__ import annotations

import json
from collections.abc import Set
from datetime import date
from datetime import time as clock_time
from typing import Any, NamedTuple

import orjson

from include.contracts.documents import DropReason, RepairReason
from spark_jobs.readers.formats import TEXT_KEYS
from spark_jobs.readers.salvage import Salvaged, is_encodable, repaired, shallow
from spark_jobs.readers.subsets import ShardNames, source_and_subset


class Fields(NamedTuple):
    """A document without its id. ``repairs`` are the reasons for which its metadata was changed."""

    text: str
    source: str
    subset: str
    metadata: str
    repairs: Set[RepairReason] = frozenset()


def fields_of(
    record: Any, names: ShardNames, signals: Any = None, limit_bytes: int = 1 << 40
) -> Fields | DropReason:
    """Return the document in a parsed record; ``signals`` are RedPajama v2's of the same row.

    A text above ``limit_bytes`` in UTF-8 is a reason to drop the document. A Salvaged record may hold values
    that JSON cannot: they are repaired in the metadata, and in the text they are a reason to drop it.
    """
    repairs: set[RepairReason] | None = None
    if isinstance(record, Salvaged):
        record, repairs = record.value, set(record.repairs)
    if not isinstance(record, dict):
        return DropReason.UNKNOWN_SCHEMA
    for key in TEXT_KEYS:
        text = record.get(key)
        if text and isinstance(text, str):
            break
    else:
        has_key = any(key in record for key in TEXT_KEYS)
        return DropReason.NO_TEXT if has_key else DropReason.UNKNOWN_SCHEMA
    del record[key]
    if repairs is not None and not is_encodable(text):
        return DropReason.INVALID_UTF8
    # a character takes at most four bytes
    if len(text) > limit_bytes or (4 * len(text) > limit_bytes and len(text.encode()) > limit_bytes):
        return DropReason.TOO_LARGE
    source, subset = source_and_subset(record, key, names)
    if signals is not None:
        record["quality_signals"] = signals
    if repairs is None:
        try:
            metadata = orjson.dumps(record, option=orjson.OPT_NON_STR_KEYS, default=_plain).decode()
            return Fields(text, source, subset, metadata)
        except TypeError:  # an integer beyond 64 bits, half a surrogate pair, or nested too deep
            repairs = set()
    plain = repaired(shallow(record, repairs), repairs)
    metadata = json.dumps(plain, ensure_ascii=False, separators=(",", ":"), default=_plain)
    return Fields(text, source, subset, metadata, repairs)


def _plain(value: Any) -> str:
    """Write a value of parquet that JSON lacks, dates as orjson does."""
    return value.isoformat() if isinstance(value, date | clock_time) else str(value)
