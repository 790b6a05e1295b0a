"""Texts in one Unicode form, without control characters; documents with encoding faults are dropped."""

from __future__ import annotations

import unicodedata
from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.recipes.corpus import NormaliseRecipe
from spark_jobs.cleaning.normalise import normalise
from spark_jobs.filters.drops import Drops

FAULT = "\N{REPLACEMENT CHARACTER}"


def normalised(texts: list[str], recipe: NormaliseRecipe | None = None) -> tuple[list[str], Counter[str]]:
    """Return the texts that are kept, and how many were dropped by reason."""
    rows = [str(number) for number in range(len(texts))]
    batch = pa.RecordBatch.from_pydict({"row": rows, "text": pa.array(texts, pa.string())})
    dropped = Drops()
    kept = normalise(batch, recipe or NormaliseRecipe(), dropped)
    assert kept.schema.names == ["row", "text"]
    return kept.column("text").to_pylist(), Counter(dropped)


@pytest.mark.parametrize(("faults", "kept"), [(0, True), (1, True), (2, False), (3, False), (100, False)])
def test_a_document_with_exactly_the_share_of_faults_is_kept(faults: int, kept: bool) -> None:
    text = FAULT * faults + "a" * (100 - faults)
    found, dropped = normalised([text])
    assert found == ([text] if kept else [])
    assert dropped == ({} if kept else {"encoding_fault": 1})


def test_no_share_allows_no_fault_and_a_whole_one_every_fault() -> None:
    text = FAULT + "a" * 1000
    assert normalised([text], NormaliseRecipe(max_replacement_share=0.0))[0] == []
    assert normalised([FAULT * 9], NormaliseRecipe(max_replacement_share=1.0))[0] == [FAULT * 9]


def test_a_text_of_which_nothing_is_left_is_dropped() -> None:
    found, dropped = normalised(["", "  \n\t ", "\x00\x1f", "x"])
    assert found == ["x"]
    assert dropped == {"empty_after_normalisation": 3}


def test_texts_change_in_their_own_rows_alone() -> None:
    texts = ["plain", "e\u0301tude", "noise", "A\u030angstro\u0308m", "x"]
    assert normalised(texts)[0] == ["plain", "étude", "noise", "Ångström", "x"]


@pytest.mark.parametrize(("form", "text"), [("NFC", "ﬁ ²"), ("NFKC", "fi 2")])
def test_the_recipe_chooses_the_form(form: str, text: str) -> None:
    assert normalised(["ﬁ ²"], NormaliseRecipe(unicode_form=form))[0] == [text]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1), max_size=6))
def test_every_text_is_in_its_form_and_stays_as_it_is_a_second_time(texts: list[str]) -> None:
    recipe = NormaliseRecipe(max_replacement_share=1.0)
    once, _ = normalised(texts, recipe)
    assert all(text == unicodedata.normalize("NFC", text) for text in once)
    assert normalised(once, recipe)[0] == once
