"""Determines the source and the subset of a document.

A subset comes from the recipe's own rules, from the key in which a published corpus names it, from the names
that publishers give to their files, or from a folder. Numbers, hashes and URLs never name a subset,
because each subset has its own token files.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, TypeGuard

import orjson

from include.contracts.errors import InputError
from include.contracts.shard_names import published_subset
from include.recipes.corpus import ReadRecipe

_NUMBERING = re.compile(
    r"(?:^|[-_.~ =]|(?<=part)|(?<=file)|(?<=shard)|(?<=chunk)|(?<=split))"
    r"(?:of[-_.]?)?"
    r"(?:v?\d[\d.]*|[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|(?=[a-f]*\d)[0-9a-f]{12,})$",
    re.IGNORECASE,
)
#: Names of folders that every data set has.
_MEANINGLESS = frozenset(
    (
        *("part", "parts", "shard", "shards", "chunk", "chunks", "split", "splits", "file", "files"),
        *(
            "data",
            "dataset",
            "datasets",
            "document",
            "documents",
            "raw",
            "input",
            "output",
            "main",
            "default",
        ),
        *("train", "training", "test", "val", "valid", "validation", "dev"),
        *("json", "jsonl", "ndjson", "parquet", "snapshot", "snapshots", "blob", "blobs", "refs", "resolve"),
        *("date", "dt", "ds", "day", "month", "year", "hour"),
    )
)
_LONGEST_NAME = 80
_HOST = re.compile(r"(?:[a-z0-9-]+\.)+[a-z]{2,}(?:[:/?#].*)?", re.IGNORECASE)
_FILE = re.compile(r".*/[^/]*\.[A-Za-z0-9]{1,5}")
_EXAMPLES = 5


@dataclass(frozen=True)
class ShardNames:
    """Source and subset of the documents of a shard, as far as their records do not name them.

    ``rule`` is the subset that a rule of the recipe gives, which the records do not change.
    """

    source: str
    subset: str
    rule: str = ""

    @classmethod
    def of(cls, name: str, recipe: ReadRecipe) -> ShardNames:
        """Read the name of a shard, such as ``redpajama_v1/arxiv/arxiv_0.jsonl``."""
        *folders, file = name.split("/")
        source = folders[0] if folders else "local"
        subset = published_subset(file) or _folder_subset(folders)
        rule = next((rule.name for rule in recipe.subsets if fnmatchcase(name, rule.shards)), "")
        return cls(source, subset, rule)


def source_and_subset(record: dict[str, Any], text_key: str, names: ShardNames) -> tuple[str, str]:
    """Return source and subset, by the schema that each corpus publishes."""
    source, subset = _published_names(record, text_key, names)
    return source, names.rule or subset


def is_subset_name(value: Any) -> TypeGuard[str]:
    """Return True if a record's value can name a subset: it is no number, hash, address, path or sentence."""
    return isinstance(value, str) and 0 < len(value) <= _LONGEST_NAME and _is_name(value)


@lru_cache(maxsize=4096)
def _is_name(value: str) -> bool:
    if not value.isprintable():
        return False
    if "://" in value or "@" in value or value.startswith(("/", ".")):
        return False
    if _HOST.fullmatch(value) or _FILE.fullmatch(value):
        return False
    return bool(_meaningful(value))


def require_few_subsets(subsets: Collection[str], recipe: ReadRecipe) -> None:
    """Raise InputError if there are more subsets than the recipe allows."""
    if len(subsets) <= recipe.max_subsets:
        return
    examples = ", ".join(repr(name[:_LONGEST_NAME]) for name in sorted(subsets)[:_EXAMPLES])
    raise InputError(
        "the documents have too many subsets",
        where="read.max_subsets",
        expected=f"at most {recipe.max_subsets}: each subset has its own token files",
        got=f"{len(subsets)} or more, such as {examples}",
        remedy='name them in the recipe, [[read.subsets]] name = "web" shards = "*/web/*", '
        "or raise read.max_subsets",
    )


def _published_names(record: dict[str, Any], text_key: str, names: ShardNames) -> tuple[str, str]:
    meta = record.get("meta")
    if isinstance(meta, str):  # Hugging Face's parquet conversions hold it as JSON text
        try:
            meta = orjson.loads(meta)
        except orjson.JSONDecodeError:
            meta = None
    if isinstance(meta, dict):
        if is_subset_name(name := meta.get("pile_set_name")):
            return "pile", name
        if is_subset_name(name := meta.get("redpajama_set_name")):
            return "slimpajama", name
    if is_subset_name(name := record.get("red_pajama_subset")):
        return "redpajama_v1", name
    if text_key == "raw_content":
        parts = [part for part in (record.get("language"), record.get("bucket")) if is_subset_name(part)]
        return "redpajama_v2", "_".join(parts) or names.subset
    source, metadata = record.get("source"), record.get("metadata")
    if source is None or "metadata" not in record:
        return names.source, names.subset
    subset = record.get("subset")
    if isinstance(metadata, str) and is_subset_name(source) and is_subset_name(subset):
        return source, subset  # a document of another corpus version
    return "dolma", source if is_subset_name(source) else names.subset


def _folder_subset(folders: Sequence[str]) -> str:
    """Return the deepest folder that names something, without its number."""
    found = next((name for folder in reversed(folders) if (name := _meaningful(folder))), "")
    return found or (folders[0] if folders else "default")


def _meaningful(name: str) -> str:
    """Return the name without numbers, dates and hashes at its end; empty if nothing is left."""
    shorter = _NUMBERING.sub("", name)
    while shorter != name:
        name, shorter = shorter, _NUMBERING.sub("", shorter)
    name = name.strip("-_.~= ")
    return "" if name.lower() in _MEANINGLESS or (len(name) < 2 and not name.isalpha()) else name
