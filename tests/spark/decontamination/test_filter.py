from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.recipes.decontamination import Benchmark, DecontaminateRecipe
from spark_jobs.decontamination.filter import Contamination, decontaminate
from spark_jobs.decontamination.index import BenchmarkIndex, load_benchmarks

EVALUATION = Path(__file__).parents[4] / "shared" / "data" / "eval"

Write = Callable[[Path, Sequence[Any] | bytes], Path]
Sentence = Callable[[random.Random, int], str]


def batch_of(texts: Sequence[str]) -> pa.RecordBatch:
    columns = {"id": [f"d/{i}" for i in range(len(texts))], "text": pa.array(texts, pa.string())}
    return pa.RecordBatch.from_pydict(columns)


@pytest.fixture(scope="module")
def items(sentence: Sentence) -> dict[str, list[str]]:
    draw = random.Random(9)
    return {name: [sentence(draw, 40) for _ in range(5)] for name in ("quiz", "code")}


@pytest.fixture(scope="module")
def recipe(
    items: dict[str, list[str]], tmp_path_factory: pytest.TempPathFactory, write_shard: Write
) -> DecontaminateRecipe:
    folder = tmp_path_factory.mktemp("benchmarks")
    for name, texts in items.items():
        write_shard(folder / f"{name}.jsonl", [{"text": text} for text in texts])
    sources = (Benchmark(name, str(folder / f"{name}.jsonl"), ("text",)) for name in items)
    return DecontaminateRecipe(tuple(sources))


@pytest.fixture(scope="module")
def index(recipe: DecontaminateRecipe) -> BenchmarkIndex:
    return load_benchmarks(recipe)


def test_contaminated_documents_go_and_the_report_says_by_what(
    items: dict[str, list[str]], recipe: DecontaminateRecipe, index: BenchmarkIndex, sentence: Sentence
) -> None:
    quiz, code = items["quiz"], items["code"]
    clean = sentence(random.Random(10), 300)
    both = f"{quiz[0]}\n{code[4]} {code[1]}"
    # other numbers for each benchmark, so that counts of the wrong one are noticed
    batch = batch_of([clean, f"{clean} {quiz[3]}", code[1].upper(), both, "", clean, f"{code[2]} {clean}"])
    dropped: Counter[str] = Counter()
    found: dict[str, Contamination] = {}
    kept = decontaminate(batch, index, recipe, dropped, found)
    assert kept.column("id").to_pylist() == ["d/0", "d/4", "d/5"]
    assert dropped == {"contaminated:quiz": 2, "contaminated:code": 2}
    assert (found["quiz"].documents, found["quiz"].items) == (2, {0, 3})
    assert (found["code"].documents, found["code"].items) == (3, {1, 2, 4})
    for name, what in found.items():
        assert len(what.example.split()) == 13
        assert any(what.example in items[name][item] for item in what.items)


@given(data=st.data())
def test_what_a_batch_reports_does_not_depend_on_where_it_is_cut(
    data: st.DataObject, items: dict[str, list[str]], recipe: DecontaminateRecipe, index: BenchmarkIndex
) -> None:
    pool = [
        *items["quiz"],
        *items["code"],
        "nothing of it",
        "",
        *(f"before {text} after" for text in items["quiz"]),
    ]
    texts = data.draw(st.lists(st.sampled_from(pool), max_size=8))
    cut = data.draw(st.integers(0, len(texts)))
    outcomes = []
    for bounds in ([(0, len(texts))], [(0, cut), (cut, len(texts))]):
        dropped: Counter[str] = Counter()
        found: dict[str, Contamination] = {}
        ids: list[str] = []
        for start, end in bounds:
            part = batch_of(texts).slice(start, end - start)
            ids += decontaminate(part, index, recipe, dropped, found).column("id").to_pylist()
        outcomes.append((ids, dropped, found))
    assert outcomes[0] == outcomes[1]
    assert len(outcomes[0][0]) + sum(outcomes[0][1].values()) == len(texts)


def test_a_clean_batch_is_handed_back_as_it_is(
    recipe: DecontaminateRecipe, index: BenchmarkIndex, sentence: Sentence
) -> None:
    batch = batch_of([sentence(random.Random(11), 2000), ""])
    found: dict[str, Contamination] = {}
    assert decontaminate(batch, index, recipe, Counter(), found) is batch
    assert not found


def test_a_recipe_without_benchmarks_drops_nothing(items: dict[str, list[str]]) -> None:
    batch = batch_of(items["quiz"])
    recipe = DecontaminateRecipe()
    assert decontaminate(batch, load_benchmarks(recipe), recipe, Counter(), {}) is batch


def test_what_two_tasks_found_adds_up() -> None:
    what = Contamination(2, {1, 2}, "")
    what.merge(Contamination(1, {2, 5}, "of another task"))
    assert what == Contamination(3, {1, 2, 5}, "of another task")


@pytest.mark.skipif(not EVALUATION.is_dir(), reason="no copy of GSM8K and HumanEval here")
def test_every_item_of_gsm8k_and_humaneval_is_found_and_prose_is_not(sentence: Sentence) -> None:
    recipe = DecontaminateRecipe(
        (
            Benchmark("gsm8k", str(EVALUATION / "gsm8k_test.jsonl"), ("question", "answer")),
            Benchmark("humaneval", str(EVALUATION / "HumanEval.jsonl.gz"), ("prompt", "canonical_solution")),
        )
    )
    index = load_benchmarks(recipe)
    assert index.skipped == (0, 0)
    dropped: Counter[str] = Counter()
    kept = decontaminate(
        batch_of([*index.unit_texts, sentence(random.Random(1), 999)]), index, recipe, dropped, {}
    )
    assert kept.num_rows == 1
    assert sum(dropped.values()) == len(index.unit_texts)
