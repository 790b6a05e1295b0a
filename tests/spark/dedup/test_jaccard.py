from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.recipes.near_dedup import NearDedupRecipe
from spark_jobs.dedup import jaccard
from spark_jobs.dedup.signatures import shingles
from spark_jobs.runtime.columns import buffers

WORDS = st.lists(st.sampled_from(["alpha", "beta", "gamma", "delta", "epsilon"]), max_size=12).map(" ".join)
NOBODY = np.empty(0, np.uint64)


def ngrams(text: str, recipe: NearDedupRecipe) -> set[tuple[str, ...]]:
    """Return the n-grams; a text of fewer than ``ngram`` words, but ``min_units``, has one, all its words."""
    words = text.split()
    if len(words) < recipe.min_units:
        return set()
    length = min(recipe.ngram, len(words))
    return {tuple(words[i : i + length]) for i in range(len(words) - length + 1)}


def by_definition(left: str, right: str, recipe: NearDedupRecipe) -> float:
    one, other = ngrams(left, recipe), ngrams(right, recipe)
    return len(one & other) / len(one | other) if one | other else 0.0


@pytest.mark.parametrize("recipe", [NearDedupRecipe(ngram=2), NearDedupRecipe(ngram=3, min_units=3)])
@given(documents=st.lists(st.tuples(WORDS, st.booleans()), min_size=1, max_size=8), cut=st.integers(0, 8))
def test_every_document_is_compared_with_the_kept_one_before_it_across_batches(
    recipe: NearDedupRecipe, documents: list[tuple[str, bool]], cut: int
) -> None:
    documents = [(documents[0][0], True), *documents[1:]]
    found: list[float] = []
    ngrams = NOBODY
    for part in (documents[:cut], documents[cut:]):
        data, offsets = buffers(pa.array([text for text, _ in part], pa.string()))
        is_kept = np.array([kept for _, kept in part], np.bool_)
        similar, ngrams = jaccard.similarities(data, offsets, is_kept, shingles(recipe), ngrams)
        found += similar.tolist()
    expected, current = [], ""
    for text, kept in documents:
        current = text if kept else current
        expected.append(by_definition(current, text, recipe))
    assert found == expected
