from __future__ import annotations

import unicodedata
from collections import Counter
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.recipes.corpus import FilterRecipe
from spark_jobs.filters import basic as quality
from spark_jobs.kernels import unicode_tables
from spark_jobs.runtime.columns import buffers

WORDS = st.lists(
    st.sampled_from(["a", "bb", "été", "!", "\n", "  ", "\t", "#=", "\u00a0", "漢字", "e\u0301"]), max_size=40
)


def measured(texts: list[str]) -> list[list[float]]:
    return quality.measure(*buffers(pa.array(texts, pa.string())), unicode_tables.classes()).tolist()


def definition(text: str) -> list[float]:
    visible = [c for c in text if not c.isspace()]
    symbols = [c for c in visible if not c.isalnum() and not unicodedata.category(c).startswith("M")]
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    words = text.split()
    bigrams = Counter(pairwise(words))
    covered = [n * len("".join(pair)) for pair, n in bigrams.items() if n > 1]
    return [
        len(text),
        len(symbols) / len(visible) if visible else 0.0,
        (len(lines) - len(set(lines))) / len(lines) if lines else 0.0,
        min(1.0, max(covered, default=0) / len(visible)) if visible else 0.0,
    ]


@given(st.lists(WORDS.map("".join) | WORDS.map(" ".join), max_size=5))
def test_measures_follow_their_definitions(texts: list[str]) -> None:
    assert measured(texts) == [pytest.approx(definition(text)) for text in texts]


def test_one_character_a_million_times_is_measured_and_repetitive() -> None:
    characters, _, _, bigram = measured(["x " * 1_000_000])[0]
    assert characters == 2_000_000
    assert bigram == 1.0


def test_a_document_of_one_long_word_has_no_bigram() -> None:
    assert measured(["x" * 3_000_000])[0] == [3_000_000, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("text", ["", "x", "# # #", "a b\n" * 40, "x" * 20_000_000])
def test_no_bound_that_is_switched_off_drops_a_document(text: str) -> None:
    dropped: Counter[str] = Counter()
    recipe = FilterRecipe(0, 0, 0, 0, 0)
    kept = quality.keep_good(pa.record_batch({"text": [text]}), recipe, dropped)
    assert kept.column("characters").to_pylist() == [len(text)] and not dropped
