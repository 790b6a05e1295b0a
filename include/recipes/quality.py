"""The published families of quality rules. Each is off until a recipe enables it, with its paper's bounds.

A bound of 0 is switched off, in every section of this module and in ``filter``. A document at a bound is
kept, except by FineWeb's rules.
"""

from __future__ import annotations

from dataclasses import dataclass

from include.recipes.loading import require

#: Ways to cut text into words: at white space alone, or as spaCy's blank English tokenizer, which datatrove
#: uses (99.95 % of the words of 6,447 English documents are cut alike).
WORD_RULES = ("whitespace", "english")


@dataclass(frozen=True)
class GopherRecipe:
    """Quality and repetition rules of arXiv 2112.11446, appendix A.1.1 and table A1.

    A document at a bound is kept. A bound of 0 is switched off.
    """

    #: Apply these rules.
    enabled: bool = False
    #: Cut words at white space, or as spaCy's English tokenizer does. The paper does not say how.
    words: str = "whitespace"
    #: Fewest words of a document.
    min_words: int = 50
    #: Most words of a document.
    max_words: int = 100_000
    #: Smallest mean length of a word, in characters.
    min_mean_word_length: float = 3.0
    #: Largest mean length of a word, in characters.
    max_mean_word_length: float = 10.0
    #: ``#`` per word, and ellipses per word.
    max_symbol_word_ratio: float = 0.1
    #: Largest share of lines that begin with a bullet.
    max_bullet_line_share: float = 0.9
    #: Largest share of lines that end with an ellipsis.
    max_ellipsis_line_share: float = 0.3
    #: Smallest share of words with a letter.
    min_alphabetic_word_share: float = 0.8
    #: Number of different words out of the, be, to, of, and, that, have, with; 0 for other languages.
    min_stop_words: int = 2
    #: Largest share of duplicate lines.
    max_duplicate_line_share: float = 0.30
    #: Largest share of duplicate paragraphs.
    max_duplicate_paragraph_share: float = 0.30
    #: Largest share of characters in duplicate lines.
    max_duplicate_line_character_share: float = 0.20
    #: Largest share of characters in duplicate paragraphs.
    max_duplicate_paragraph_character_share: float = 0.20
    #: Of the most frequent n-gram, for n = 2, 3, 4.
    max_top_ngram_shares: tuple[float, ...] = (0.20, 0.18, 0.16)
    #: Of repeated n-grams, for n = 5 to 10.
    max_duplicate_ngram_shares: tuple[float, ...] = (0.15, 0.14, 0.13, 0.12, 0.11, 0.10)

    def __post_init__(self) -> None:
        _word_rule("gopher.words", self.words)
        _ordered("gopher.min_words", self.min_words, "gopher.max_words", self.max_words)
        _ordered(
            "gopher.min_mean_word_length",
            self.min_mean_word_length,
            "gopher.max_mean_word_length",
            self.max_mean_word_length,
        )
        _bound("gopher.max_symbol_word_ratio", self.max_symbol_word_ratio)
        require(0 <= self.min_stop_words <= 8, "gopher.min_stop_words", "0 to 8", self.min_stop_words)
        for name in (
            "max_bullet_line_share",
            "max_ellipsis_line_share",
            "min_alphabetic_word_share",
            "max_duplicate_line_share",
            "max_duplicate_paragraph_share",
            "max_duplicate_line_character_share",
            "max_duplicate_paragraph_character_share",
        ):
            _share(f"gopher.{name}", getattr(self, name))
        _shares("gopher.max_top_ngram_shares", self.max_top_ngram_shares, 3)
        _shares("gopher.max_duplicate_ngram_shares", self.max_duplicate_ngram_shares, 6)


@dataclass(frozen=True)
class C4Recipe:
    """Line and page rules of arXiv 1910.10683, section 2.2: 3 words a line and 5 sentences a page.

    The names are those of datatrove's ``C4QualityFilter``. FineWeb ran it with ``filter_no_terminal_punct``
    off. A number of 0 is switched off.
    """

    #: Apply these rules.
    enabled: bool = False
    #: Lines with fewer words are removed.
    min_words_per_line: int = 3
    #: Fewest sentences of a document.
    min_num_sentences: int = 5
    #: Lines with a longer word are left out.
    max_word_length: int = 1000
    #: Remove lines that do not end in a terminal punctuation mark.
    filter_no_terminal_punct: bool = True
    #: Drops program code too: off for corpora that are to hold some.
    filter_curly_bracket: bool = True

    def __post_init__(self) -> None:
        for name in ("min_words_per_line", "min_num_sentences", "max_word_length"):
            _bound(f"c4.{name}", getattr(self, name))


@dataclass(frozen=True)
class FineWebRecipe:
    """FineWeb's own rules: a document at or beyond a bound of arXiv 2406.17557, section 3.3 is dropped.

    ``min_duplicate_character_share`` is 0.1 in the paper, whose ablation supports it, and 0.01 in datatrove,
    whose code names no source for it. At 0.01 a heading of 40 characters that occurs twice drops a page of
    3,000. Take 0.01 to filter as datatrove does. A bound of 0 is switched off.
    """

    #: Apply these rules.
    enabled: bool = False
    #: Cut words at white space, or as spaCy's English tokenizer does, for ``max_line_feed_ratio``.
    words: str = "whitespace"
    #: A document with at most this share of lines that end in ``. ' " ! ?`` is dropped.
    min_punctuated_line_share: float = 0.12
    #: Most characters of a short line.
    short_line_length: int = 30
    #: Documents with at least this share of short lines are dropped.
    min_short_line_share: float = 0.67
    #: Documents with at least this share of characters in duplicate lines are dropped.
    min_duplicate_character_share: float = 0.1
    #: Line feeds per word above which a document is a list; 0.3 in datatrove, not in the paper.
    max_line_feed_ratio: float = 0.3

    def __post_init__(self) -> None:
        _word_rule("fineweb.words", self.words)
        for name in ("min_punctuated_line_share", "min_short_line_share", "min_duplicate_character_share"):
            _share(f"fineweb.{name}", getattr(self, name))
        _bound("fineweb.short_line_length", self.short_line_length)
        _bound("fineweb.max_line_feed_ratio", self.max_line_feed_ratio)


@dataclass(frozen=True)
class LanguageRecipe:
    """Languages to keep (ISO 639 codes, empty for all), by the first ``max_characters`` of a document.

    FineWeb (arXiv 2406.17557, section 3.1) keeps English scored at least 0.65, CCNet (arXiv 1911.00359) any
    language scored at least 0.5; both score whole documents, with another model (fastText's lid.176).
    """

    #: Apply this rule.
    enabled: bool = False
    #: Languages to keep; empty for all.
    languages: tuple[str, ...] = ("en",)
    #: Smallest score of the identified language.
    min_score: float = 0.65
    #: Characters at the beginning of a document that are identified; 0 for whole documents.
    max_characters: int = 2000

    def __post_init__(self) -> None:
        require(
            all(code.isascii() and code.islower() and 2 <= len(code) <= 3 for code in self.languages),
            "language.languages",
            "ISO 639 codes such as en",
            self.languages,
        )
        _share("language.min_score", self.min_score)
        _bound("language.max_characters", self.max_characters)


@dataclass(frozen=True)
class SignalBound:
    """A minimum, a maximum, or both for a document's quality signal such as ``rps_doc_word_count``.

    A document at a bound is kept. Signals may be negative, so that a bound that is left out is off, not 0.
    """

    #: Name of the signal.
    name: str
    #: Smallest value that is kept.
    minimum: float | None = None
    #: Largest value that is kept.
    maximum: float | None = None

    def __post_init__(self) -> None:
        require(bool(self.name), "signals.bounds.name", "the name of a quality signal", self.name)
        low, high = self.minimum, self.maximum
        require(
            (low is not None or high is not None) and (low is None or high is None or low <= high),
            f"signals.bounds {self.name}",
            "a minimum, a maximum, or both in order",
            (low, high),
        )


@dataclass(frozen=True)
class SignalsRecipe:
    """Bounds on RedPajama v2's quality signals. Without any, nothing is dropped."""

    #: Bounds on signals, a table each.
    bounds: tuple[SignalBound, ...] = ()

    def __post_init__(self) -> None:
        names = [bound.name for bound in self.bounds]
        require(len(names) == len(set(names)), "signals.bounds", "each name once", names)


def _word_rule(name: str, rule: str) -> None:
    require(rule in WORD_RULES, name, " or ".join(WORD_RULES), rule)


def _bound(name: str, value: float) -> None:
    require(value >= 0, name, "at least 0, where 0 switches it off", value)


def _ordered(low_name: str, low: float, high_name: str, high: float) -> None:
    _bound(low_name, low)
    require(high >= low or high == 0, high_name, f"at least {low_name} ({low}), or 0 to switch it off", high)


def _share(name: str, value: float) -> None:
    require(0 <= value <= 1, name, "0 to 1, where 0 switches it off", value)


def _shares(name: str, values: tuple[float, ...], count: int) -> None:
    require(
        len(values) == count and all(0 <= value <= 1 for value in values),
        name,
        f"{count} shares of 0 to 1, where 0 switches one off",
        values,
    )
