from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from include.contracts.errors import InputError, RecipeError
from include.recipes.decontamination import Benchmark, DecontaminateRecipe
from spark_jobs.decontamination import overlap
from spark_jobs.decontamination.index import load_benchmarks, read_items, release_canaries

Write = Callable[[Path, Sequence[Any] | bytes], Path]
Sentence = Callable[[random.Random, int], str]


def recipe_for(path: Path, *fields: str, **options: Any) -> DecontaminateRecipe:
    return DecontaminateRecipe((Benchmark("quiz", str(path), fields or ("question",)),), **options)


def found_items(recipe: DecontaminateRecipe, text: str) -> list[int]:
    index = load_benchmarks(recipe)
    rows = index.search(pa.array([text], pa.string()), recipe)
    return sorted({int(index.unit_items[unit]) for unit in rows[:, 1]})


@pytest.mark.parametrize("name", ["quiz.jsonl", "quiz.jsonl.gz", "quiz.jsonl.zst", "quiz.json"])
def test_items_are_read_however_they_are_packed(name: str, tmp_path: Path, write_shard: Write) -> None:
    records = [{"question": "ä?", "choices": {"text": ["x", 2]}}, {"question": "b", "choices": None}]
    content: Any = json.dumps(records).encode() if name.endswith(".json") else records
    source = Benchmark("quiz", str(write_shard(tmp_path / name, content)), ("question", "choices.text"))
    assert read_items(source) == [("ä?", "x\n2"), ("b", "")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot match anything.*question.*no items"),
        (b"[]", "cannot match anything"),
        (b'{"prompt": "x"}\n', "cannot match anything.*question.*keys prompt"),
        (b'{"question": "only six words are too few"}\n', "no item of 8 words"),
        (b'{"question": "?!"}\n', "no item of 8 words"),
        (b'{"question": {"stem": "x"}}\n', r"question\.stem"),
        (b'{"question": "x"\n', "not JSON"),
        (b'["x"]', "not a JSON object"),
        (b"\x1f\x8b\x08cut", "gzip"),
    ],
)
def test_a_benchmark_that_could_not_match_is_an_error(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "quiz.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"(?s){message}"):
        load_benchmarks(recipe_for(path))
    with pytest.raises(InputError, match="no such file"):
        load_benchmarks(recipe_for(tmp_path / "other.jsonl"))


def test_a_canary_that_is_not_found_is_an_error(
    tmp_path: Path, write_shard: Write, sentence: Sentence
) -> None:
    draw = random.Random(1)
    recipe = recipe_for(
        write_shard(tmp_path / "q.jsonl", [{"question": sentence(draw, 30)} for _ in range(3)])
    )
    index = load_benchmarks(recipe)
    texts = dict(enumerate(index.unit_texts))
    release_canaries(index, 0, texts, recipe)
    texts[1] = sentence(draw, 30)
    with pytest.raises(InputError, match=r"cannot match anything.*item 1 is not found"):
        release_canaries(index, 0, texts, recipe)
    broken = dataclasses.replace(index, table=index.table._replace(filter=np.zeros_like(index.table.filter)))
    with pytest.raises(InputError, match="item 0 is not found"):
        release_canaries(broken, 0, dict(enumerate(index.unit_texts)), recipe)


def test_loading_releases_the_canaries(
    tmp_path: Path, write_shard: Write, sentence: Sentence, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_shard(tmp_path / "q.jsonl", [{"question": sentence(random.Random(6), 30)}])
    make = overlap.ngram_table

    def blind(*rows: Any) -> overlap.NgramTable:
        table = make(*rows)
        return table._replace(filter=np.zeros_like(table.filter))

    monkeypatch.setattr(overlap, "ngram_table", blind)
    with pytest.raises(InputError, match="item 0 is not found"):
        load_benchmarks(recipe_for(path))


def test_each_long_field_is_looked_for_on_its_own(
    tmp_path: Path, write_shard: Write, sentence: Sentence
) -> None:
    draw = random.Random(2)
    question, answer = sentence(draw, 40), sentence(draw, 50)
    path = write_shard(tmp_path / "q.jsonl", [{"question": question, "answer": answer, "id": "7"}])
    recipe = recipe_for(path, "question", "answer", "id")
    assert load_benchmarks(recipe).unit_texts == (question, answer)
    for text in (question, answer.upper(), f"x {question}, {sentence(draw, 99)}"):
        assert found_items(recipe, text) == [0]


def test_short_fields_are_looked_for_together_and_shorter_items_not(
    tmp_path: Path, write_shard: Write
) -> None:
    records = [
        {"question": "Which river runs through the capital", "answer": "of Austria? The Danube"},
        {"question": "Who is it?", "answer": "Nobody we know"},
    ]
    recipe = recipe_for(write_shard(tmp_path / "q.jsonl", records), "question", "answer")
    index = load_benchmarks(recipe)
    assert index.skipped == (1,)
    assert index.table.lengths.tolist() == [10]
    assert found_items(recipe, "So: which river runs through the capital of Austria — the Danube.") == [0]
    assert found_items(recipe, "which river runs through the capital of Austria") == []
    assert found_items(recipe, "Who is it? Nobody we know") == []


@pytest.mark.parametrize("min_overlap", [0.0, 0.3, 0.5, 1.0])
def test_a_document_is_contaminated_from_the_share_of_the_recipe_on(
    min_overlap: float, tmp_path: Path, write_shard: Write, sentence: Sentence
) -> None:
    words = sentence(random.Random(3), 60).split()
    path = write_shard(tmp_path / "q.jsonl", [{"question": " ".join(words)}])
    recipe = recipe_for(path, min_overlap=min_overlap)
    ngrams = 60 - 12
    for shared in range(0, ngrams + 1, 3):
        text = " ".join(words[: shared + 12]) if shared else " ".join(words[:12])
        assert found_items(recipe, text) == ([0] if shared and shared / ngrams >= min_overlap else [])


def test_a_repeated_ngram_counts_once(tmp_path: Path, write_shard: Write, sentence: Sentence) -> None:
    words = sentence(random.Random(4), 33).split()
    recipe = recipe_for(write_shard(tmp_path / "q.jsonl", [{"question": " ".join(words)}]), min_overlap=0.5)
    assert found_items(recipe, " . ".join([" ".join(words[:13])] * 30)) == []


def test_the_example_is_an_ngram_of_the_item_as_it_stands_there(
    tmp_path: Path, write_shard: Write, sentence: Sentence
) -> None:
    words = ["Élan,", *sentence(random.Random(5), 30).split(), "3.5", "漢字", "end."]
    recipe = recipe_for(write_shard(tmp_path / "q.jsonl", [{"question": " ".join(words)}]), min_overlap=0)
    index = load_benchmarks(recipe)
    for first in (0, 7, len(words) - 11):
        text = " ".join(words[first : first + 13]).lower()
        [[_, unit, number]] = index.search(pa.array([text], pa.string()), recipe)[:1].tolist()
        example = index.ngram_text(unit, number, recipe)
        assert example in index.unit_texts[unit]
        assert example.lower() in text
        assert found_items(recipe, example) == [0]


def test_a_recipe_refuses_what_cannot_be() -> None:
    source = Benchmark("a", "x.jsonl", ("q",))
    for options, field in (
        ({"benchmarks": (source, source)}, "benchmarks"),
        ({"ngram_words": 0}, "ngram_words"),
        ({"min_overlap": 1.1}, "min_overlap"),
        ({"min_item_words": 14}, "min_item_words"),
    ):
        with pytest.raises(RecipeError, match=field):
            DecontaminateRecipe(**options)
    for values, field in (
        (("a b", "x", ("q",)), "name"),
        (("a", "", ("q",)), "uri"),
        (("a", "x", ()), "fields"),
    ):
        with pytest.raises(RecipeError, match=field):
            Benchmark(*values)
