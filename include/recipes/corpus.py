"""The corpus recipe, which says how raw shards become a corpus: a section for each stage."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from include.recipes.decontamination import DecontaminateRecipe
from include.recipes.loading import require
from include.recipes.near_dedup import NearDedupRecipe, profile
from include.recipes.quality import C4Recipe, FineWebRecipe, GopherRecipe, LanguageRecipe, SignalsRecipe
from include.recipes.scrubbing import ScrubRecipe


@dataclass(frozen=True)
class SubsetRule:
    """Shards whose documents form one subset."""

    #: Name of the subset.
    name: str
    #: Glob on the names of shards; ``*`` also crosses ``/``.
    shards: str

    def __post_init__(self) -> None:
        valid = 0 < len(self.name) <= 80 and self.name.isprintable()
        require(valid, "read.subsets.name", "1 to 80 printable characters", self.name)
        require(bool(self.shards), "read.subsets.shards", "a glob, such as */web/*", self.shards)


@dataclass(frozen=True)
class ReadRecipe:
    """Limits on one record, and the subsets of the corpus.

    A record above ``max_document_bytes`` is dropped as ``too_large``. Of ``subsets`` the first rule that
    matches counts; a document without one has the subset that its record or its folder names. A corpus of
    more than ``max_subsets`` is refused.
    """

    #: Largest record, in bytes of UTF-8.
    max_document_bytes: int = 32 * 2**20
    #: Most subsets of a corpus: each has token files of its own.
    max_subsets: int = 200
    #: Rules that name subsets by the names of shards; the first that matches counts.
    subsets: tuple[SubsetRule, ...] = ()

    def __post_init__(self) -> None:
        require(
            self.max_document_bytes > 0,
            "read.max_document_bytes",
            "more than 0: it bounds the memory of a task and cannot be switched off",
            self.max_document_bytes,
        )
        require(1 <= self.max_subsets <= 10_000, "read.max_subsets", "1 to 10000", self.max_subsets)


@dataclass(frozen=True)
class NormaliseRecipe:
    """The Unicode form of texts, and how many encoding faults a document may have."""

    #: Unicode normal form of every text.
    unicode_form: str = "NFC"
    #: Share of U+FFFD and mojibake characters above which a document is an ``encoding_fault``. 0 allows none,
    #: 1 switches the rule off.
    max_replacement_share: float = 0.01

    def __post_init__(self) -> None:
        require(
            self.unicode_form in ("NFC", "NFKC"), "normalise.unicode_form", "NFC or NFKC", self.unicode_form
        )
        _share("normalise.max_replacement_share", self.max_replacement_share)


@dataclass(frozen=True)
class FilterRecipe:
    """Bounds on length, symbols and repetition (shares as in Gopher, arXiv 2112.11446, table A1).

    A document at a bound is kept. A bound of 0 is switched off, as in ``include.recipes.quality``.
    """

    #: Fewest characters of a document.
    min_characters: int = 200
    #: Most characters of a document.
    max_characters: int = 10_000_000
    #: Largest share of visible characters that are neither letters, digits nor combining marks.
    max_symbol_share: float = 0.5
    #: Largest share of lines that repeat an earlier line.
    max_duplicate_line_share: float = 0.7
    #: Largest share of visible characters in the occurrences of one repeated word bigram.
    max_top_bigram_share: float = 0.4

    def __post_init__(self) -> None:
        for name in ("min_characters", "max_characters"):
            require(
                getattr(self, name) >= 0,
                f"filter.{name}",
                "at least 0, where 0 switches it off",
                getattr(self, name),
            )
        require(
            self.max_characters >= self.min_characters or self.max_characters == 0,
            "filter.max_characters",
            f"at least min_characters ({self.min_characters}), or 0 to switch it off",
            self.max_characters,
        )
        _share("filter.max_symbol_share", self.max_symbol_share)
        _share("filter.max_duplicate_line_share", self.max_duplicate_line_share)
        _share("filter.max_top_bigram_share", self.max_top_bigram_share)


@dataclass(frozen=True)
class HeldOutRecipe:
    """Kept documents split off by the hash of their id and never trained on.

    A small corpus holds out more than ``share``, up to a quarter, to reach ``min_documents`` in all.
    """

    #: Share of kept documents that is held out.
    share: float = 0.01
    #: Most held-out documents of a subset.
    max_documents_per_subset: int = 200
    #: Held-out documents that a small corpus tries to reach.
    min_documents: int = 50

    def __post_init__(self) -> None:
        require(0 < self.share < 0.5, "held_out.share", "above 0, below 0.5", self.share)
        require(
            self.max_documents_per_subset >= 1,
            "held_out.max_documents_per_subset",
            "at least 1",
            self.max_documents_per_subset,
        )
        require(self.min_documents >= 0, "held_out.min_documents", "at least 0", self.min_documents)


#: The texts that train a tokenizer are gathered on the driver.
_MOST_TRAINING_BYTES = 1_000_000_000


@dataclass(frozen=True)
class TokenizerRecipe:
    """A given ``tokenizer.json`` (``uri``), or a byte-level BPE trained on the corpus."""

    #: A given ``tokenizer.json``; empty trains one.
    uri: str = ""
    #: Vocabulary of a trained tokenizer.
    vocabulary_size: int = 8192
    #: Token after each document.
    end_of_text: str = "<|endoftext|>"
    #: Most bytes of text on which a tokenizer is trained.
    max_training_bytes: int = 20_000_000

    def __post_init__(self) -> None:
        require(
            258 <= self.vocabulary_size <= 1_000_000,
            "tokenizer.vocabulary_size",
            "258 to 1000000",
            self.vocabulary_size,
        )
        require(bool(self.end_of_text), "tokenizer.end_of_text", "a token", self.end_of_text)
        require(
            1 <= self.max_training_bytes <= _MOST_TRAINING_BYTES,
            "tokenizer.max_training_bytes",
            f"1 to {_MOST_TRAINING_BYTES}",
            self.max_training_bytes,
        )


@dataclass(frozen=True)
class CorpusRecipe:
    """Everything that decides the bytes of a corpus, apart from its inputs and the code."""

    #: Name of the recipe; the version begins with it.
    name: str
    read: ReadRecipe = field(default_factory=ReadRecipe)
    normalise: NormaliseRecipe = field(default_factory=NormaliseRecipe)
    signals: SignalsRecipe = field(default_factory=SignalsRecipe)
    language: LanguageRecipe = field(default_factory=LanguageRecipe)
    gopher: GopherRecipe = field(default_factory=GopherRecipe)
    c4: C4Recipe = field(default_factory=C4Recipe)
    fineweb: FineWebRecipe = field(default_factory=FineWebRecipe)
    filter: FilterRecipe = field(default_factory=FilterRecipe)
    decontaminate: DecontaminateRecipe = field(default_factory=DecontaminateRecipe)
    scrub: ScrubRecipe = field(default_factory=ScrubRecipe)
    near_dedup: NearDedupRecipe = field(default_factory=NearDedupRecipe)
    held_out: HeldOutRecipe = field(default_factory=HeldOutRecipe)
    tokenizer: TokenizerRecipe = field(default_factory=TokenizerRecipe)
    #: Upper bound on tokens in one Megatron shard.
    shard_tokens: int = 20_000_000

    def __post_init__(self) -> None:
        # it begins the version, which is a folder in S3
        is_name = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", self.name) is not None
        require(is_name, "name", "letters, digits, hyphens and underscores", self.name)
        require(self.shard_tokens >= 1, "shard_tokens", "at least 1", self.shard_tokens)

    @property
    def references(self) -> tuple[str, ...]:
        """URIs of the files that the recipe names. Their bytes decide the corpus, as the shards do."""
        named = [self.tokenizer.uri, *(benchmark.uri for benchmark in self.decontaminate.benchmarks)]
        return tuple(sorted({uri for uri in named if uri}))


def with_profile(recipe: CorpusRecipe, name: str) -> CorpusRecipe:
    """Return the recipe with the packaged near dedup profile ``name``, under the recipe's own seed."""
    return replace(recipe, near_dedup=replace(profile(name), seed=recipe.near_dedup.seed))


def _share(name: str, value: float) -> None:
    require(0 <= value <= 1, name, "0 to 1", value)
