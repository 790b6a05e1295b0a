from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.decontamination import overlap
from spark_jobs.decontamination.index import folds
from spark_jobs.runtime.columns import buffers

WORDS = st.lists(st.sampled_from("abcd"), max_size=14)


def column(texts: list[list[str]]) -> tuple[np.ndarray, np.ndarray]:
    return buffers(pa.array([" ".join(words) for words in texts], pa.string()))


def ngrams(words: list[str], length: int) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + length]) for i in range(len(words) - length + 1)]


def table_of(units: list[list[str]], ngram: int) -> overlap.NgramTable:
    return overlap.ngram_table(*overlap.ngrams_of(*column(units), folds(), ngram))


@given(st.lists(WORDS, min_size=1, max_size=5), st.integers(1, 5))
def test_every_ngram_is_hashed_and_equal_ones_alike(texts: list[list[str]], ngram: int) -> None:
    hashes, documents, lengths = overlap.ngrams_of(*column(texts), folds(), ngram)
    expected = [
        (d, found)
        for d, words in enumerate(texts)
        if words
        for found in ngrams(words, min(ngram, len(words)))
    ]
    assert documents.tolist() == [d for d, _ in expected]
    assert lengths.tolist() == [len(found) for _, found in expected]
    distinct = set(zip(hashes.tolist(), [found for _, found in expected], strict=True))
    assert len(distinct) == len(set(hashes.tolist())) == len({found for _, found in expected})


@given(
    st.lists(WORDS, max_size=5), st.lists(WORDS, min_size=1, max_size=6), st.integers(1, 4), st.integers(1, 4)
)
def test_overlaps_are_those_of_sets_of_ngrams(
    texts: list[list[str]], units: list[list[str]], ngram: int, needed: int
) -> None:
    found = overlap.overlaps(
        *column(texts), folds(), table_of(units, ngram), np.full(len(units), needed, np.int64)
    )
    expected = set()
    for d, words in enumerate(texts):
        for u, unit in enumerate(units):
            length = min(ngram, len(unit))
            if length and len(set(ngrams(unit, length)) & set(ngrams(words, length))) >= needed:
                expected.add((d, u))
    assert {(d, u) for d, u, _ in found.tolist()} == expected
    assert len(found) == len(expected)


@given(st.lists(WORDS, min_size=1, max_size=6), st.integers(1, 4))
def test_an_ngram_has_one_number_and_all_the_units_with_it(units: list[list[str]], ngram: int) -> None:
    hashes, owners, _ = overlap.ngrams_of(*column(units), folds(), ngram)
    table = table_of(units, ngram)
    expected = {key: sorted(set(owners[hashes == np.uint64(key)].tolist())) for key in set(hashes.tolist())}
    used = np.flatnonzero(table.numbers >= 0)
    assert {int(table.hashes[slot]) for slot in used} == set(expected)
    for slot in used:
        number = table.numbers[slot]
        mine = table.units[table.starts[number] : table.starts[number + 1]]
        assert mine.tolist() == expected[int(table.hashes[slot])]


def test_more_overlaps_than_the_first_table_holds_are_all_there() -> None:
    units = [["a", "b", "c"]] * 40
    found = overlap.overlaps(
        *column([["a", "b", "c"]] * 3), folds(), table_of(units, 3), np.ones(40, np.int64)
    )
    assert len(found) == 120


def test_words_are_compared_without_case_accents_and_punctuation_but_with_their_numbers() -> None:
    texts = ["Two—NAÏVE, dogs: 3.5!", "two naive dogs 3 5", "two naive dogs 3 6", "٣ ٥", "3 5"]
    hashes, documents, _ = overlap.ngrams_of(*buffers(pa.array(texts)), folds(), 9)
    assert documents.tolist() == [0, 1, 2, 3, 4]
    assert hashes[0] == hashes[1] != hashes[2]
    assert hashes[3] == hashes[4]
