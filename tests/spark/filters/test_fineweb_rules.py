from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pyarrow as pa
import pytest

from include.recipes.quality import FineWebRecipe
from spark_jobs.filters.fineweb import keep_fineweb

PUBLISHED = FineWebRecipe(enabled=True)
#: Every bound is switched off.
OFF = FineWebRecipe(
    enabled=True,
    min_punctuated_line_share=0,
    min_short_line_share=0,
    min_duplicate_character_share=0,
    max_line_feed_ratio=0,
)
#: One hundred lines of 40 characters and eight words, none twice.
LINES = [f"line {n:03d} of a text about the harbour wall" for n in range(100)]


def outcome(lines: list[str], recipe: FineWebRecipe = PUBLISHED) -> str:
    dropped: Counter[str] = Counter()
    kept = keep_fineweb(pa.record_batch({"text": ["\n".join(lines)]}), recipe, dropped)
    assert kept.num_rows + dropped.total() == 1
    return next(iter(+dropped), "kept")


def ended(count: int) -> list[str]:
    return [f"{line}." if at < count else line for at, line in enumerate(LINES)]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (ended(13), "kept"),
        (ended(12), "fineweb_line_punct_ratio"),
        ([line[:30] if at >= 34 else line for at, line in enumerate(ended(34))], "kept"),
        ([line[:30] if at >= 33 else line for at, line in enumerate(ended(33))], "fineweb_short_line_ratio"),
        ([line[:31] if at >= 33 else line for at, line in enumerate(ended(33))], "kept"),
        (["x" * 99, "a b c d e f g h i j k l." + "z" * 40, "yy" * 9, "yy" * 9 + "."], "kept"),
        ([*(["n" * 40 + f"{n} a b c d e." for n in range(9)]), "m" * 40 + "  a b c d e."] * 1, "kept"),
        (["w" * 90 + f" a b {n}." for n in range(9)] + ["v" * 120 + "."] * 2, "fineweb_char_dup_ratio"),
        (["w" * 99 + " a b."] * 1 + ["v" * 40 + f" {n}." for n in range(9)], "fineweb_list_ratio"),
    ],
)
def test_published_bounds_decide_these_documents(lines: list[str], reason: str) -> None:
    assert outcome(lines) == reason


def test_a_document_at_a_bound_of_the_paper_is_dropped() -> None:
    # 25 of 100 lines end in a mark; a quarter of the characters repeats
    lines = [*LINES[:75], *LINES[:25]]
    lines = [f"{line[:39]}." if at % 4 == 0 else line for at, line in enumerate(lines)]
    loose = OFF
    assert outcome(lines, loose) == "kept"
    assert outcome(lines, replace(loose, min_punctuated_line_share=0.25)) == "fineweb_line_punct_ratio"
    assert outcome(lines, replace(loose, min_punctuated_line_share=0.24)) == "kept"
    assert outcome([*LINES[:1], *["x."] * 3], replace(loose, min_short_line_share=0.75)) == (
        "fineweb_short_line_ratio"
    )
    repeated = ["abcd.", "abcd."]
    assert outcome(repeated, replace(loose, min_duplicate_character_share=0.5, short_line_length=0)) == (
        "fineweb_char_dup_ratio"
    )
    assert outcome(["a b.", "c d."], replace(loose, short_line_length=0, max_line_feed_ratio=0.25)) == "kept"


@pytest.mark.parametrize("lines", [["a"] * 40, ["", " ", ""], ["no mark", "no mark"], ["x"] * 2])
def test_no_bound_that_is_switched_off_drops_a_document(lines: list[str]) -> None:
    assert outcome(lines) != "kept"
    assert outcome(lines, OFF) == "kept"


def test_the_word_rule_of_the_recipe_is_taken() -> None:
    lines = ["a-b-c.", "d-e-f."]  # two words between white space, twelve with spaCy's rules
    recipe = replace(OFF, max_line_feed_ratio=0.1)
    assert outcome(lines, recipe) == "fineweb_list_ratio"
    assert outcome(lines, replace(recipe, words="english")) == "kept"


def test_a_repeated_heading_drops_a_page_by_datatroves_share_and_not_by_the_papers() -> None:
    lines = ["Contents of the chapter on harbours.", *(f"{line}." for line in LINES[:60])]
    lines.append(lines[0])
    paper, datatrove = replace(OFF, min_duplicate_character_share=0.1), 0.01
    assert outcome(lines, paper) == "kept"
    assert outcome(lines, replace(paper, min_duplicate_character_share=datatrove)) == "fineweb_char_dup_ratio"


def test_a_document_of_blank_lines_has_no_punctuation() -> None:
    assert outcome(["", " ", ""]) == "fineweb_line_punct_ratio"


def test_a_disabled_recipe_leaves_the_batch_untouched() -> None:
    batch = pa.record_batch({"text": ["x"]})
    assert keep_fineweb(batch, FineWebRecipe(), Counter()) is batch
