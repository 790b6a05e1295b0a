"""Recipe of decontamination: the benchmarks, and how much of an item makes a document contaminated."""

from __future__ import annotations

import re
from dataclasses import dataclass

from include.recipes.loading import require

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Benchmark:
    """A benchmark's items: JSON lines (plain, gzip, zstd) or a JSON array.

    ``fields`` are the keys whose texts make an item, in the order in which a document would show them; a dot
    reaches into an object (``choices.text``), lists are joined.
    """

    #: Name of the benchmark in drop reasons.
    name: str
    #: Path or S3 URI of the items.
    uri: str
    #: Keys of an item whose texts are searched.
    fields: tuple[str, ...]

    def __post_init__(self) -> None:
        require(
            bool(_NAME.fullmatch(self.name)),
            "decontaminate.benchmarks.name",
            "letters, digits, dots, underscores and hyphens",
            self.name,
        )
        require(bool(self.uri), "decontaminate.benchmarks.uri", "a path or URI", self.uri)
        require(
            bool(self.fields) and all(self.fields),
            "decontaminate.benchmarks.fields",
            "at least one key of the items",
            self.fields,
        )


@dataclass(frozen=True)
class DecontaminateRecipe:
    """Decontamination by the overlap of word n-grams. Without ``benchmarks`` nothing is searched.

    13 words are GPT-3's (arXiv 2005.14165, appendix C; lm-evaluation-harness follows), datatrove takes 12.
    GPT-3 and datatrove drop at a single common n-gram, which tables and boilerplate share by chance; Tülu 3
    requires more than half of an item's tokens in one document (arXiv 2411.15124; 8-grams). Half of a GSM8K
    question of 45 words, in one piece, has 0.3 of its 13-grams.
    """

    #: Benchmarks to remove, a table each.
    benchmarks: tuple[Benchmark, ...] = ()
    #: Words of one n-gram.
    ngram_words: int = 13
    #: Share of the distinct n-grams of a text of an item that one document has; 0 for a single one.
    min_overlap: float = 0.3
    #: Shorter items are not searched: everyday phrases would match. 8 is GPT-3's smallest n-gram.
    min_item_words: int = 8

    def __post_init__(self) -> None:
        names = [benchmark.name for benchmark in self.benchmarks]
        require(len(set(names)) == len(names), "decontaminate.benchmarks", "different names", names)
        require(1 <= self.ngram_words <= 64, "decontaminate.ngram_words", "1 to 64", self.ngram_words)
        require(0 <= self.min_overlap <= 1, "decontaminate.min_overlap", "0 to 1", self.min_overlap)
        require(
            1 <= self.min_item_words <= self.ngram_words,
            "decontaminate.min_item_words",
            f"1 to ngram_words ({self.ngram_words})",
            self.min_item_words,
        )
