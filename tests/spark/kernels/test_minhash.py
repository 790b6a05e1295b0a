from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.columns import buffers
from spark_jobs.kernels import minhash, unicode_tables

PIECES = st.sampled_from(
    ["Word", "WORD", "naïve", "3.14", "12", "7", ".", ", ", " ", "\n", "x9y", "漢字", "ñ", "Σ", "1.2.3"]
)


def folded_words(text: str) -> list[str]:
    """Numbers to 0, punctuation to spaces, lower case, no diacritics; scripts without spaces by character."""
    text = re.sub(r"\d+(\.\d+)?", "0", text)
    text = "".join(" " if unicodedata.category(c)[0] in "PSZC" or c.isspace() else c for c in text)
    text = unicodedata.normalize("NFD", text.lower().replace("ς", "σ"))
    text = "".join(c for c in text if unicodedata.category(c) != "Mn")
    return re.sub(r"([\u3040-\u30ff\u4e00-\u9fff])", r" \1 ", text).split()


def signed(texts: list[str], ngram: int = 5, count: int = 112) -> tuple[np.ndarray, np.ndarray]:
    return minhash.signatures(
        *buffers(pa.array(texts, pa.string())), unicode_tables.folds(), minhash.permutations(count, 1), ngram
    )


@given(st.lists(PIECES, max_size=40).map("".join))
def test_words_are_folded_as_the_definition_says(text: str) -> None:
    data = np.frombuffer(text.encode(), np.uint8)
    words = np.empty(len(data) + 1, np.uint64)
    count = minhash.fold_words(data, 0, len(data), unicode_tables.folds(), words)
    expected = folded_words(text)
    assert count == len(expected)
    # equal words have equal hashes, different words different ones
    assert len(set(zip(words[:count].tolist(), expected, strict=True))) == len(set(expected))
    assert len(set(words[:count].tolist())) == len(set(expected))


@given(st.lists(PIECES, max_size=30).map("".join), st.integers(1, 6))
def test_texts_that_fold_alike_have_equal_signatures(text: str, ngram: int) -> None:
    other = " ".join(folded_words(text))
    minima, ngrams = signed([text, other], ngram)
    assert ngrams[0] == ngrams[1]
    assert (minima[0] == minima[1]).all()
    expected = len(folded_words(text))
    assert ngrams[0] == (max(1, expected - ngram + 1) if expected else 0)


def test_a_signature_does_not_depend_on_the_batch_it_is_in(
    sentence: Callable[[random.Random, int], str],
) -> None:
    texts = [sentence(random.Random(seed), 4000 * seed + 3) for seed in range(3)]
    together, _ = signed(texts)
    for text, row in zip(texts, together, strict=True):
        assert (signed([text])[0][0] == row).all()


@pytest.mark.parametrize("shared", [0.9, 0.5, 0.2])
def test_share_of_equal_minima_estimates_jaccard(
    shared: float, sentence: Callable[[random.Random, int], str]
) -> None:
    words = sentence(random.Random(3), 6000).split()
    cut = int(len(words) * shared)
    other = words[:cut] + sentence(random.Random(4), len(words) - cut).split()
    left, right = ({tuple(w[i : i + 5]) for i in range(len(w) - 4)} for w in (words, other))
    jaccard = len(left & right) / len(left | right)
    minima, _ = signed([" ".join(words), " ".join(other)], count=2048)
    # four standard errors of a share of 2048
    assert (minima[0] == minima[1]).mean() == pytest.approx(jaccard, abs=4 * (0.25 / 2048) ** 0.5)


def test_band_keys_are_equal_exactly_where_all_rows_of_the_band_are() -> None:
    generator = np.random.Generator(np.random.PCG64(5))
    minima = generator.integers(0, 2, size=(200, 12)).astype(np.uint32)
    keys = minhash.band_keys(minima, 4, 3)
    for band in range(4):
        rows = [tuple(row) for row in minima[:, 3 * band : 3 * band + 3].tolist()]
        assert len(set(zip(rows, keys[:, band].tolist(), strict=True))) == len(set(rows))
    assert not set(keys[:, 0].tolist()) & set(keys[:, 1].tolist())
