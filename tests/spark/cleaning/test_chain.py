"""All stages of a document by itself, one after the other: what leaves each, and that nothing is lost."""

from __future__ import annotations

import json
import pickle
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from include.contracts.documents import Stage
from include.contracts.errors import InputError
from include.recipes.corpus import CorpusRecipe, FilterRecipe
from include.recipes.decontamination import Benchmark, DecontaminateRecipe
from include.recipes.loading import packaged_recipe, recipe_names
from include.recipes.scrubbing import ScrubRecipe
from spark_jobs.cleaning.chain import CHAIN, ChainCounts, apply_chain
from spark_jobs.filters.drops import Drops
from spark_jobs.readers.documents import BATCH_SCHEMA
from spark_jobs.report.samples import SHOWN_CHARACTERS

QUESTION = "how many apples does the old gardener have left after giving seven of them to each neighbour"


def batch_of(texts: list[str]) -> pa.RecordBatch:
    rows = range(10, 10 + len(texts))
    columns = [rows, texts, ["s"] * len(texts), ["t"] * len(texts), ["{}"] * len(texts)]
    return pa.RecordBatch.from_arrays([pa.array(c) for c in columns], schema=BATCH_SCHEMA)


@pytest.fixture
def recipe(tmp_path: Path) -> CorpusRecipe:
    quiz = tmp_path / "quiz.jsonl"
    quiz.write_text(json.dumps({"question": QUESTION}) + "\n")
    return CorpusRecipe(
        "test",
        filter=FilterRecipe(min_characters=20),
        decontaminate=DecontaminateRecipe((Benchmark("quiz", str(quiz), ("question",)),)),
        scrub=ScrubRecipe(enabled=True),
    )


def test_each_stage_takes_its_own_and_passes_on_the_rest(
    recipe: CorpusRecipe, sentence: Callable[[random.Random, int], str]
) -> None:
    plain = sentence(random.Random(1), 40)
    texts = [
        f"{plain} write to jane.doe@nexus.org",
        "\x00 \n",
        "too short",
        f"{plain} {QUESTION} {plain}",
        plain,
    ]
    counts = ChainCounts()
    clean = apply_chain(batch_of(texts), recipe, counts)
    assert clean.column("text").to_pylist() == [f"{plain} write to <EMAIL>", plain]
    assert clean.column("characters").to_pylist() == [len(plain) + 17, len(plain)]
    assert {stage: dict(drops) for stage, drops in counts.dropped.items()} == {
        "normalise": {"empty_after_normalisation": 1},
        "filter": {"too_short": 1},
        "decontaminate": {"contaminated:quiz": 1},
        "scrub": {},
    }
    assert dict(counts.replaced) == {"emails": 1}
    assert counts.contamination["quiz"].items == {0}
    before = len(texts)
    for stage in CHAIN:
        assert before == counts.left[stage.value] + counts.dropped[stage.value].total()
        before = counts.left[stage.value]


def test_the_first_dropped_documents_are_kept_as_examples_also_between_processes(
    recipe: CorpusRecipe,
) -> None:
    counts = ChainCounts()
    apply_chain(batch_of([f"short {i}" for i in range(9)]), recipe, counts)
    again = pickle.loads(pickle.dumps(counts))
    examples = again.dropped[Stage.FILTER.value].examples["too_short"]
    assert [tuple(example) for example in examples] == [(10, "short 0"), (11, "short 1"), (12, "short 2")]
    assert again.dropped[Stage.FILTER.value]["too_short"] == 9


def test_an_example_is_long_enough_for_the_report_to_mark_it_as_shortened() -> None:
    drops = Drops()
    drops.add_example("too_short", 0, "a" * 1000)
    assert len(drops.examples["too_short"][0].text) == SHOWN_CHARACTERS + 1


def test_a_benchmark_that_nothing_could_match_ends_the_work(recipe: CorpusRecipe, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    source = Benchmark("empty", str(tmp_path / "empty.jsonl"), ("question",))
    with pytest.raises(InputError, match="empty"):
        apply_chain(
            batch_of(["a text of some length"]),
            replace(recipe, decontaminate=DecontaminateRecipe((source,))),
            ChainCounts(),
        )


PROSE = """\
The gardener said that the apples of this year would be the best that anybody could remember.
She walked with her dog to the market, and most of what she carried was sold before it was noon.
It had been a long summer for the people of the village, but the rain came just in time to save the corn.
Her brother, who keeps the mill by the river, thought that the winter would be early and very cold.
They have agreed to meet again in spring, when the roads are dry and there is work to be done.
"""


@pytest.mark.parametrize("name", recipe_names("corpora"))
def test_every_packaged_recipe_keeps_good_prose_and_drops_what_is_none(name: str) -> None:
    recipe = packaged_recipe(CorpusRecipe, "corpora", name)
    clean = apply_chain(batch_of([PROSE, "\x01 \x02"]), recipe, counts := ChainCounts())
    assert clean.column("row").to_pylist() == [10]
    assert sum(drops.total() for drops in counts.dropped.values()) == 1
