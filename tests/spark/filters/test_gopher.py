from __future__ import annotations

import string
from collections import Counter
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from include.recipes.quality import GopherRecipe
from spark_jobs.filters import gopher_measures as gopher
from spark_jobs.filters.gopher import keep_gopher
from spark_jobs.kernels.letters import letters
from spark_jobs.kernels.word_rules import word_rule
from spark_jobs.runtime.columns import buffers

PUBLISHED = GopherRecipe(enabled=True)
#: Every bound is switched off.
OFF = GopherRecipe(
    enabled=True,
    min_words=0,
    max_words=0,
    min_mean_word_length=0,
    max_mean_word_length=0,
    max_symbol_word_ratio=0,
    max_bullet_line_share=0,
    max_ellipsis_line_share=0,
    min_alphabetic_word_share=0,
    min_stop_words=0,
    max_duplicate_line_share=0,
    max_duplicate_paragraph_share=0,
    max_duplicate_line_character_share=0,
    max_duplicate_paragraph_character_share=0,
    max_top_ngram_shares=(0, 0, 0),
    max_duplicate_ngram_shares=(0,) * 6,
)
#: The tightest maximum, which is not switched off.
LEAST = 1e-9
#: Violates the tightest form of every rule.
MESSY = """- one of the two roads that lead to the harbour # 12 34...
- one of the two roads that lead to the harbour # 12 34...
said the mayor, said the mayor, said the mayor of it…

A paragraph.

- one of the two roads that lead to the harbour # 12 34 and back
A paragraph.

A paragraph."""
#: field (with an index into a tuple), its column, reason, in the documented order.
ABOVE = [
    ("max_duplicate_paragraph_share", None, gopher.DUPLICATE_PARAGRAPH_SHARE, "gopher_dup_para_frac"),
    (
        "max_duplicate_paragraph_character_share",
        None,
        gopher.DUPLICATE_PARAGRAPH_CHARACTER_SHARE,
        "gopher_dup_para_char_frac",
    ),
    ("max_duplicate_line_share", None, gopher.DUPLICATE_LINE_SHARE, "gopher_dup_line_frac"),
    (
        "max_duplicate_line_character_share",
        None,
        gopher.DUPLICATE_LINE_CHARACTER_SHARE,
        "gopher_dup_line_char_frac",
    ),
    *(("max_top_ngram_shares", n - 2, gopher.ngram_share(n), f"gopher_top_{n}_gram") for n in (2, 3, 4)),
    *(
        ("max_duplicate_ngram_shares", n - 5, gopher.ngram_share(n), f"gopher_duplicated_{n}_n_grams")
        for n in range(5, 11)
    ),
]
QUALITY: list[tuple[str, int | None, int, str]] = [
    ("min_words", None, gopher.WORDS, "gopher_short_doc"),
    ("max_words", None, gopher.WORDS, "gopher_long_doc"),
    ("min_mean_word_length", None, gopher.MEAN_WORD_LENGTH, "gopher_below_avg_threshold"),
    ("max_mean_word_length", None, gopher.MEAN_WORD_LENGTH, "gopher_above_avg_threshold"),
    ("max_bullet_line_share", None, gopher.BULLET_LINE_SHARE, "gopher_too_many_bullets"),
    ("max_ellipsis_line_share", None, gopher.ELLIPSIS_LINE_SHARE, "gopher_too_many_end_ellipsis"),
    ("min_alphabetic_word_share", None, gopher.ALPHABETIC_WORD_SHARE, "gopher_below_alpha_threshold"),
    ("min_stop_words", None, gopher.STOP_WORDS, "gopher_enough_stop_words"),
]
WORDS = [f"{''.join(word)}on" for word in product("bdfklmnprst", "aeiou", string.ascii_lowercase)]
PROSE = f"the {' '.join(WORDS[:30])} of {' '.join(WORDS[30:])}"


def outcome(text: str, recipe: GopherRecipe = PUBLISHED) -> str:
    dropped: Counter[str] = Counter()
    batch = pa.record_batch({"text": ["", text, ""]}).slice(1, 1)
    kept = keep_gopher(batch, recipe, dropped)
    assert kept.num_rows + dropped.total() == 1
    return next(iter(+dropped), "kept")


def with_bound(recipe: GopherRecipe, field: str, index: int | None, bound: float) -> GopherRecipe:
    value: Any = bound
    if index is not None:
        value = tuple(bound if i == index else old for i, old in enumerate(getattr(recipe, field)))
    return replace(recipe, **{field: value})


def measure_of(text: str, column: int) -> float:
    measures = gopher.measure(
        *buffers(pa.array([text])), letters(), word_rule("whitespace"), gopher.NO_MAXIMA
    )
    return float(measures[0, column])


@pytest.mark.parametrize(("field", "index", "column", "reason"), ABOVE + QUALITY)
def test_a_document_at_its_bound_is_kept_and_beyond_it_dropped(
    field: str, index: int | None, column: int, reason: str
) -> None:
    measure = measure_of(MESSY, column)
    assert measure > 0
    tighter = np.nextafter(measure, np.inf if field.startswith("min") else -np.inf)
    if field in ("min_words", "max_words", "min_stop_words"):
        tighter = measure + (1 if field.startswith("min") else -1)
    assert outcome(MESSY, with_bound(OFF, field, index, measure)) == "kept"
    assert outcome(MESSY, with_bound(OFF, field, index, float(tighter))) == reason


def test_the_first_violated_rule_in_the_documented_order_is_the_reason() -> None:
    recipe = GopherRecipe(
        enabled=True,
        min_words=10**6,
        max_words=10**6,
        max_symbol_word_ratio=LEAST,
        max_duplicate_line_share=LEAST,
        max_duplicate_paragraph_share=LEAST,
        max_duplicate_line_character_share=LEAST,
        max_duplicate_paragraph_character_share=LEAST,
        max_top_ngram_shares=(LEAST,) * 3,
        max_duplicate_ngram_shares=(LEAST,) * 6,
    )
    for field, index, _, reason in ABOVE:
        assert outcome(MESSY, recipe) == reason
        recipe = with_bound(recipe, field, index, 1)
    assert outcome(MESSY, recipe) == "gopher_short_doc"
    recipe = replace(recipe, min_words=0)
    assert outcome(MESSY, recipe) == "gopher_too_many_hashes"
    assert outcome(MESSY.replace("#", ""), recipe) == "gopher_too_many_ellipsis"


def lines(count: int, bullets: int, ellipses: int) -> str:
    words = iter(WORDS)
    made = [" ".join(next(words) for _ in range(10)) for _ in range(count - 1)] + ["the rest of it"]
    made = [f"- {line}" if at < bullets else line for at, line in enumerate(made)]
    return "\n".join(f"{line} ..." if at < ellipses else line for at, line in enumerate(made))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (" ".join(PROSE.split()[:50]), "kept"),
        (" ".join(PROSE.split()[:49]), "gopher_short_doc"),
        (" ".join(f"{word}{n}" for n in range(71) for word in WORDS[:1409]), "gopher_long_doc"),
        ("the of " + " ".join(word[:3] + " " + word[3:] for word in WORDS), "gopher_below_avg_threshold"),
        ("the of " + " ".join(word * 4 for word in WORDS), "gopher_above_avg_threshold"),
        (PROSE.replace("a", "a#", len(PROSE.split()) // 10), "kept"),
        (PROSE.replace("a", "a#", len(PROSE.split()) // 10 + 1), "gopher_too_many_hashes"),
        (PROSE.replace("a", "a...", len(PROSE.split()) // 10 + 1), "gopher_too_many_ellipsis"),
        (PROSE.replace("a", "a…", len(PROSE.split()) // 10 + 1), "gopher_too_many_ellipsis"),
        (lines(20, 18, 0), "kept"),
        (lines(20, 19, 0), "gopher_too_many_bullets"),
        (lines(20, 19, 0).replace("-", "•"), "gopher_too_many_bullets"),
        (lines(20, 0, 6), "kept"),
        (lines(20, 0, 7), "gopher_too_many_end_ellipsis"),
        (" ".join([*PROSE.split()[:80], *map(str, range(1000, 1020))]), "kept"),
        (" ".join([*PROSE.split()[:80], *map(str, range(1000, 1021))]), "gopher_below_alpha_threshold"),
        (PROSE.replace("of", "the"), "gopher_enough_stop_words"),
        ("\n".join([*(PROSE[100 * n :][:100] for n in range(7)), *["up"] * 4]), "kept"),
        ("\n".join([*(PROSE[100 * n :][:100] for n in range(7)), *["up"] * 5]), "gopher_dup_line_frac"),
        ("\n\n".join([*(PROSE[100 * n :][:100] for n in range(7)), *["up"] * 5]), "gopher_dup_para_frac"),
        ("\n".join([PROSE[:300], PROSE[300:600], *[PROSE[600:900]] * 2]), "gopher_dup_line_char_frac"),
        ("\n\n".join([PROSE[:300], PROSE[300:600], *[PROSE[600:900]] * 2]), "gopher_dup_para_char_frac"),
        ("of " + " ".join(f"the cat {word}" for word in WORDS[:60]), "gopher_top_2_gram"),
        ("the of " + " ".join(WORDS[:60] + WORDS[:20]), "gopher_duplicated_5_n_grams"),
    ],
)
def test_published_bounds_decide_these_documents(text: str, reason: str) -> None:
    assert outcome(text) == reason


@pytest.mark.parametrize("text", [MESSY, "", "# # # ... ...", "- a\n- a\n- a", "x" * 5000, "a a a a a a"])
def test_no_bound_that_is_switched_off_drops_a_document(text: str) -> None:
    assert outcome(text, OFF) == "kept"


def test_the_word_rule_of_the_recipe_is_taken() -> None:
    text = "one-two,three"  # one word between white space, five with spaCy's rules
    assert outcome(text, replace(OFF, min_words=2)) == "gopher_short_doc"
    assert outcome(text, replace(OFF, words="english", min_words=3)) == "kept"
    assert outcome(text, replace(OFF, words="english", min_words=4)) == "gopher_short_doc"


def test_a_disabled_recipe_leaves_the_batch_untouched() -> None:
    batch = pa.record_batch({"text": [MESSY]})
    assert keep_gopher(batch, GopherRecipe(), Counter()) is batch


def test_the_documents_between_dropped_ones_stay_with_their_rows() -> None:
    dropped: Counter[str] = Counter()
    batch = pa.record_batch({"row": [1, 2, 3, 4], "text": [PROSE, "short", PROSE, ""]})
    assert keep_gopher(batch, PUBLISHED, dropped).column("row").to_pylist() == [1, 3]
    assert +dropped == {"gopher_short_doc": 2}
