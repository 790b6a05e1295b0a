"""Determines the source and the subset of a document.

A subset comes from the recipe's own rules, from the key in which a published corpus names it, from the names
that publishers give to their files, or from a folder. Numbers, hashes, URLs and titles never name a subset,
because each subset has its own token files.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

import orjson

from include.contracts.errors import InputError
from include.contracts.shard_names import published_subset, stem_of
from include.recipes.corpus import ReadRecipe

_NUMBERING = re.compile(
    r"(?:^|[-_.~ =]|(?<=part)|(?<=file)|(?<=shard)|(?<=chunk)|(?<=split))"
    r"(?:of[-_.]?)?"
    r"(?:v?\d[\d.]*(?:e[-+]?\d+)?|[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|(?=[a-f]*\d)[0-9a-f]{12,}"
    # a time, a week or quarter of a year, a month with its year
    r"|\d{1,4}T\d\d(?:[-:.]?\d\d)*Z?|\d{4}[-_]?[wq]\d{1,2}"
    r"|(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}[-_]?\d{4})$",
    re.IGNORECASE,
)
_DATE_FIRST = re.compile(r"\d{4}[-_.]?\d\d(?:[-_.]?\d\d)?[-_. ]+(?=\D)")
#: Words before the number of a single record.
_COUNTED = frozenset(
    ("id", "doc", "document", "page", "item", "record", "row", "sample", "entry", "line", "article", "post")
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
_HOST = re.compile(r"(?:[\w-]+\.)+[^\W\d_]{2,}(?:[:/?#].*)?")
_FILE = re.compile(r".*/[^/]*\.[A-Za-z0-9]{1,5}")
#: Addresses and identifiers of all kinds, times, and paths of several folders.
_ADDRESS = re.compile(r".*[:@?\\].*|[/.].*|[^/]*/[^/]*/.*|10\.\d{4,}/.*")
#: A folder of a site, as crawlers make them. Endings of countries are endings of languages too.
_SITE = re.compile(r"www\..+|.+\.(?:com|org|net|edu|gov|info)|.*[:@].*", re.IGNORECASE)
_SHORT_HEX = re.compile(r"[0-9a-f]{1,4}", re.IGNORECASE)
_HASH = re.compile(r"[0-9a-f]{12,}", re.IGNORECASE)
_EXAMPLES = 5
#: The longest published names have three words, such as Caselaw Access Project, or six parts with hyphens.
_MOST_WORDS, _MOST_PARTS, _MOST_DIGITS = 3, 6, 4
_PARTS = re.compile(r"[-_ ]+")
_DATE = re.compile(r"(?:19|20)\d{6}")
_SENTENCE = re.compile(r"[,;!\"'\u2018-\u201f\u2026]|\.(?: |$)")
#: A word that is a number: 8, #8, (8/12), 8th.
_NUMBER_WORD = re.compile(r"[^\w]*\d(?:[\d\W_]*|\d*(?:st|nd|rd|th))", re.IGNORECASE)
#: A place in a book or a series: Chapter 12, Part B, Volume IV, No. 5.
_PLACE = re.compile(
    r"(?:page|chapter|section|paragraph|verse|vol|volume|book|part|issue|episode|season|no|number|question"
    r"|answer|appendix|figure|table|batch|version|file|shard|chunk|item|entry|article|post)"
    r"(?:[\s._-]*#?\d.*|[\s._-]+(?:[ivxlcdm]+|[a-z]))",
    re.IGNORECASE,
)
_SHORT_HASH = re.compile(r"(?=.*\d)(?=.*[a-f])[0-9a-f]{7,}", re.IGNORECASE)
#: Words of titles and sentences. Published names have none of them between others.
_FUNCTION_WORDS = frozenset(
    (
        *("a", "an", "the", "of", "and", "or", "in", "on", "at", "for", "to", "by", "with", "from", "as"),
        *("is", "are", "was", "how", "what", "why", "my", "your", "our", "his", "her", "its", "i", "you"),
    )
)


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
        subset = published_subset(file) or _folder_subset(folders, file)
        rule = next((rule.name for rule in recipe.subsets if fnmatchcase(name, rule.shards)), "")
        return cls(source, subset, rule)


def source_and_subset(record: dict[str, Any], text_key: str, names: ShardNames) -> tuple[str, str]:
    """Return source and subset, by the schema that each corpus publishes."""
    source, subset = _published_names(record, text_key, names)
    return source, names.rule or subset


def subset_name(value: Any) -> str:
    """Return the subset that a record's value names; empty for a number, hash, address, path or title."""
    return _published_name(value) if isinstance(value, str) and 0 < len(value) <= _LONGEST_NAME else ""


def _given_name(value: Any) -> str:
    """Return a name that a corpus version or its recipe gave, which may have any words."""
    return _name(value) if isinstance(value, str) and 0 < len(value) <= _LONGEST_NAME else ""


@lru_cache(maxsize=4096)
def _name(value: str) -> str:
    name = unicodedata.normalize("NFC", value).strip()
    if not name.isprintable() or any(form.fullmatch(name) for form in (_ADDRESS, _HOST, _FILE)):
        return ""
    return name if _meaningful(name) else ""


@lru_cache(maxsize=4096)
def _published_name(value: str) -> str:
    name = _name(value)
    return name if name and _is_identifier(name) and not _PLACE.fullmatch(value.strip()) else ""


def _is_identifier(name: str) -> bool:
    """Return True for a short name, as publishers give; False for a title, a place in a book or a code."""
    words = name.split()
    if len(words) > _MOST_WORDS or len(_PARTS.split(name)) > _MOST_PARTS or _SENTENCE.search(name):
        return False
    if any(_NUMBER_WORD.fullmatch(word) for word in words):
        return False
    if sum(map(str.isdigit, _DATE.sub("", name))) > _MOST_DIGITS or _SHORT_HASH.fullmatch(name):
        return False
    return len(words) < _MOST_WORDS or not any(word.lower() in _FUNCTION_WORDS for word in words)


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
        if name := subset_name(meta.get("pile_set_name")):
            return "pile", name
        if name := subset_name(meta.get("redpajama_set_name")):
            return "slimpajama", name
    if name := subset_name(record.get("red_pajama_subset")):
        return "redpajama_v1", name
    if text_key == "raw_content":
        parts = (subset_name(record.get(key)) for key in ("language", "bucket"))
        return "redpajama_v2", "_".join(part for part in parts if part) or names.subset
    source, metadata = record.get("source"), record.get("metadata")
    if source is None or "metadata" not in record:
        return names.source, names.subset
    given = _given_name(source) if isinstance(metadata, str) else ""
    if given and (subset := _given_name(record.get("subset"))):
        return given, subset  # a document of another corpus version
    return "dolma", subset_name(source) or names.subset


def _folder_subset(folders: Sequence[str], file: str) -> str:
    """Return the deepest folder that names something, without its number."""
    found = (_name_of_folder(folder, file) for folder in reversed(folders))
    return next(filter(None, found), "") or (folders[0] if folders else "default")


def _name_of_folder(folder: str, file: str) -> str:
    """Return what a folder names, without the ending that Spark's folders have, its date and its number."""
    name = unicodedata.normalize("NFC", stem_of(folder))
    is_part_of_hash = _SHORT_HEX.fullmatch(name) and _HASH.fullmatch(stem_of(file)) and name in file[:8]
    if is_part_of_hash or (_SITE.fullmatch(name) and not _NUMBERING.search(name)):
        return ""
    return _meaningful(_DATE_FIRST.sub("", name, count=1) if _DATE_FIRST.match(name) else name)


def _meaningful(name: str) -> str:
    """Return the name without numbers, dates and hashes at its end; empty if nothing is left."""
    shorter = _NUMBERING.sub("", name)
    is_numbered = shorter != name
    while shorter != name:
        name, shorter = shorter, _NUMBERING.sub("", shorter)
    name = name.strip("-_.~= ")
    if name.lower() in _MEANINGLESS or (is_numbered and name.lower() in _COUNTED):
        return ""
    return "" if len(name) < 2 and not name.isalpha() else name
