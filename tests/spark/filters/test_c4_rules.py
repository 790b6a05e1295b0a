from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pyarrow as pa
import pytest

from include.recipes.quality import C4Recipe
from spark_jobs.filters.c4 import rewrite_c4

PUBLISHED = C4Recipe(enabled=True)
FIVE = [f"Sentence number {word} is here." for word in ("one", "two", "three", "four", "five")]


def rewritten(texts: list[str], recipe: C4Recipe = PUBLISHED) -> tuple[list[tuple[int, str]], dict[str, int]]:
    dropped: Counter[str] = Counter()
    batch = pa.record_batch({"row": range(len(texts)), "text": texts, "subset": ["s"] * len(texts)})
    result = rewrite_c4(batch, recipe, dropped)
    result.validate(full=True)
    return [(row["row"], row["text"]) for row in result.to_pylist()], +dropped


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        ("Then Lorem Ipsum follows here.", "c4_lorem_ipsum"),
        ("A function() { returns it.", "c4_curly_bracket"),
    ],
)
def test_one_line_condemns_the_page(extra: str, reason: str) -> None:
    assert rewritten(["\n".join([*FIVE, extra])]) == ([], {reason: 1})


@pytest.mark.parametrize(
    "line",
    [
        "No end mark at all",
        "It goes on...",
        "Two words.",
        "Enable JavaScript to comment.",
        "Read our privacy policy.",
        "One " + "x" * 1001 + " word.",
    ],
)
def test_lines_of_these_kinds_go(line: str) -> None:
    assert rewritten(["\n".join([*FIVE, line])]) == ([(0, "\n".join(FIVE))], {})


def test_pages_of_fewer_than_five_sentences_go() -> None:
    pages = ["\n".join(FIVE), "\n".join(FIVE[:4]), " ".join(FIVE), ""]
    kept, dropped = rewritten(pages)
    assert kept == [(0, pages[0]), (2, pages[2])]
    assert dropped == {"c4_too_few_sentences": 2}


def test_each_bound_is_the_recipes() -> None:
    two_words, lenient = "Two words.", replace(PUBLISHED, min_num_sentences=1)
    assert rewritten([two_words], replace(lenient, min_words_per_line=2))[0] == [(0, two_words)]
    assert rewritten(["no mark here"], replace(lenient, filter_no_terminal_punct=False))[0] == [
        (0, "no mark here")
    ]
    assert rewritten(["code { here."], replace(lenient, filter_curly_bracket=False))[0] == [
        (0, "code { here.")
    ]
    assert rewritten(["a b four."], replace(lenient, max_word_length=4))[0] == []
    assert rewritten(["a b fou."], replace(lenient, max_word_length=4))[0] == [(0, "a b fou.")]


def test_signs_behind_a_full_stop_are_no_sentence() -> None:
    # a page of the reference of a program: four sentences, as spaCy counts them
    page = [*FIVE[:3], "This is an experimental API. ("]
    lenient = replace(PUBLISHED, filter_no_terminal_punct=False)
    assert rewritten(["\n".join(page)], lenient) == ([], {"c4_too_few_sentences": 1})
    page[-1] += " Now it is stable."
    assert rewritten(["\n".join(page)], lenient)[1] == {}


def test_sentences_are_not_counted_when_their_bound_is_switched_off() -> None:
    recipe = replace(PUBLISHED, min_num_sentences=0)
    texts = ["One sentence alone here.", "no end mark in this page", "Another sentence stands here."]
    assert rewritten(texts, recipe) == ([(0, texts[0]), (2, texts[2])], {"c4_no_lines": 1})


def test_no_bound_that_is_switched_off_drops_a_line() -> None:
    off = C4Recipe(True, 0, 0, 0, filter_no_terminal_punct=False, filter_curly_bracket=False)
    for text in ("x", "{", "x" * 5000, "\n".join(FIVE)):
        assert rewritten([text], off) == ([(0, text)], {})


def test_a_disabled_recipe_leaves_the_batch_untouched() -> None:
    batch = pa.record_batch({"text": ["x"]})
    assert rewrite_c4(batch, C4Recipe(), Counter()) is batch
