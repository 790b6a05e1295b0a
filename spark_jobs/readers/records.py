"""One record of any accepted schema to the fields of a document, or the reason why it is none."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from include.contracts.documents import DropReason
from spark_jobs.readers.formats import TEXT_KEYS

_SUFFIXES = re.compile(r"\.(jsonl|json|ndjson|parquet|zst|zstd|gz)$")
_NUMBERING = re.compile(r"(^\d+|([-_.]of)?[-_.]\d+|(?<=part|file)\d+|(?<=shard|chunk)\d+)+$")
_MEANINGLESS = {"", "part", "shard", "chunk", "train", "data", "documents", "file", "test", "val", "valid"}


class Fields(NamedTuple):
    """A document without its id."""

    text: str
    source: str
    subset: str
    metadata: str


@dataclass(frozen=True)
class ShardNames:
    """What a shard's name says where its records say nothing: source is its first folder, subset its stem."""

    source: str
    subset: str

    @classmethod
    def of(cls, name: str) -> ShardNames:
        """From a name such as ``redpajama/arxiv.jsonl`` (source redpajama, subset arxiv)."""
        *folders, stem = name.split("/")
        while _SUFFIXES.search(stem):
            stem = _SUFFIXES.sub("", stem)
        subset = _NUMBERING.sub("", stem)
        if subset.lower() in _MEANINGLESS:
            subset = folders[-1] if folders else "default"
        return cls(folders[0] if folders else "local", subset)


def fields_of(record: Any, names: ShardNames, signals: Any = None) -> Fields | DropReason:
    """The document in a parsed record; ``signals`` are RedPajama v2's of the same row."""
    if not isinstance(record, dict):
        return DropReason.UNKNOWN_SCHEMA
    key = next((key for key in TEXT_KEYS if key in record), None)
    if key is None:
        return DropReason.UNKNOWN_SCHEMA
    text = record.pop(key)
    if not isinstance(text, str) or not text:
        return DropReason.NO_TEXT
    source, subset = _origin(record, key, names)
    if signals is not None:
        record["quality_signals"] = signals
    try:
        metadata = orjson.dumps(record, option=orjson.OPT_NON_STR_KEYS, default=str).decode()
    except TypeError:  # orjson refuses integers beyond 64 bits
        return DropReason.INVALID_JSON
    return Fields(text, source, subset, metadata)


def _origin(record: dict[str, Any], text_key: str, names: ShardNames) -> tuple[str, str]:
    """Source and subset, by the schema that each corpus publishes."""
    meta = record.get("meta")
    if isinstance(meta, str):  # Hugging Face's parquet conversions hold it as JSON text
        try:
            meta = orjson.loads(meta)
        except orjson.JSONDecodeError:
            meta = None
    meta = meta if isinstance(meta, dict) else {}
    if name := _name(meta.get("pile_set_name")):
        return "pile", name
    if name := _name(meta.get("redpajama_set_name")):
        return "slimpajama", name
    if name := _name(record.get("red_pajama_subset")):
        return "redpajama_v1", name
    if text_key == "raw_content":
        parts = [_name(record.get("language")), _name(record.get("bucket"))]
        return "redpajama_v2", "_".join(part for part in parts if part) or names.subset
    if (name := _name(record.get("source"))) and "metadata" in record:
        return "dolma", name
    return names.source, names.subset


def _name(value: Any) -> str:
    return value if isinstance(value, str) else ""
