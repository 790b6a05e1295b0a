from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from include.recipes.corpus import NearDedupRecipe
from spark_jobs.batches.sign import sign

PAIRS = 400
WORDS = 300


def bands(texts: list[str], recipe: NearDedupRecipe) -> np.ndarray:
    return np.array(signed(texts, recipe).column("bands").to_pylist())


def signed(texts: list[str], recipe: NearDedupRecipe) -> pa.RecordBatch:
    columns = {
        "doc": pa.array(range(len(texts)), pa.int64()),
        "id": [f"s/{i}" for i in range(len(texts))],
        "text": texts,
        "subset": ["s"] * len(texts),
        "characters": [len(text) for text in texts],
    }
    return sign(pa.RecordBatch.from_pydict(columns), 0, 0, recipe)


def planted(
    generator: random.Random, draw: Callable[[random.Random, int], str], share: float
) -> tuple[str, str]:
    """Two texts of equal length, one beginning with the same words, the rest drawn anew."""
    words = draw(generator, WORDS).split()
    cut = int(WORDS * share)
    return " ".join(words), " ".join(words[:cut] + draw(generator, WORDS - cut).split())


def jaccard(left: str, right: str, ngram: int) -> float:
    a, b = (
        {tuple(w[i : i + ngram]) for i in range(len(w) - ngram + 1)} for w in (left.split(), right.split())
    )
    return len(a & b) / len(a | b)


@pytest.mark.parametrize("recipe", [NearDedupRecipe(), NearDedupRecipe(ngram_words=3, bands=25, rows=4)])
@pytest.mark.parametrize("share", [0.75, 0.85, 0.9, 0.95])
def test_pairs_are_found_as_often_as_the_s_curve_says(
    share: float, recipe: NearDedupRecipe, sentence: Callable[[random.Random, int], str]
) -> None:
    generator = random.Random(11)
    pairs = [planted(generator, sentence, share) for _ in range(PAIRS)]
    left, right = (bands([pair[side] for pair in pairs], recipe) for side in (0, 1))
    found = (left == right).any(axis=1).mean()
    chances = [1 - (1 - jaccard(*pair, recipe.ngram_words) ** recipe.rows) ** recipe.bands for pair in pairs]
    expected = float(np.mean(chances))
    standard_error = (expected * (1 - expected) / PAIRS) ** 0.5
    assert found == pytest.approx(expected, abs=4 * standard_error + 0.005)


def test_unrelated_texts_share_no_band(sentence: Callable[[random.Random, int], str]) -> None:
    generator = random.Random(5)
    keys = bands([sentence(generator, WORDS) for _ in range(1000)], NearDedupRecipe())
    assert len(np.unique(keys)) == keys.size


def test_documents_without_words_have_no_ngrams() -> None:
    batch = signed(["...", "word", "\u0301", "one two three four five six"], NearDedupRecipe())
    assert batch.column("ngrams").to_pylist() == [0, 1, 0, 2]


def test_equal_texts_have_equal_hashes_and_other_texts_others() -> None:
    batch = signed(["a b", "a b", "a c"], NearDedupRecipe())
    hashes = list(
        zip(batch.column("text_low").to_pylist(), batch.column("text_high").to_pylist(), strict=True)
    )
    assert hashes[0] == hashes[1] != hashes[2]
    assert len(set(batch.column("id_hash").to_pylist())) == 3
