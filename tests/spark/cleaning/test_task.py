from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from include.contracts.errors import InputError
from include.recipes.corpus import CorpusRecipe, ReadRecipe, SubsetRule
from spark_jobs.cleaning.task import CleanPart, CleanTask, clean_part
from spark_jobs.corpus_version.layout import VersionLayout
from spark_jobs.readers.input_files import inputs_of, raw_shard
from spark_jobs.readers.shards import ordered_shards


@pytest.fixture
def cleaned(tmp_path: Path) -> Callable[..., CleanPart]:
    """Clean the shards of ``in`` below the test's folder."""

    def clean(read: ReadRecipe | None = None) -> CleanPart:
        folder = str(tmp_path / "in")
        shards = ordered_shards([raw_shard(uri, folder) for uri in inputs_of(folder).accepted])
        recipe = CorpusRecipe("test", read=read or ReadRecipe())
        return clean_part(CleanTask(0, tuple(shards), VersionLayout(str(tmp_path / "out")), recipe))

    return clean


Draw = Callable[[random.Random, int], str]


def test_addresses_as_sources_are_one_subset(
    cleaned: Callable[..., CleanPart], tmp_path: Path, write_shard: Callable[..., Path], sentence: Draw
) -> None:
    generator = random.Random(1)
    records = [
        {"text": sentence(generator, 60), "source": f"https://site{i}.example/page", "metadata": {}}
        for i in range(300)
    ]
    write_shard(tmp_path / "in/a.jsonl", records)
    part = cleaned()
    assert part.subsets == ["in"]
    found = pq.read_table(tmp_path / "out/work/clean" / part.files[0].name, columns=["source", "subset"])
    assert set(map(tuple, (row.values() for row in found.to_pylist()))) == {("dolma", "in")}


def test_more_subsets_than_the_recipe_allows_end_the_task_unless_a_rule_names_them(
    cleaned: Callable[..., CleanPart], tmp_path: Path, write_shard: Callable[..., Path], sentence: Draw
) -> None:
    generator = random.Random(2)
    records: list[dict[str, Any]] = [
        {"text": sentence(generator, 60), "source": f"author {word}", "metadata": {}} for word in "abcdef"
    ]
    write_shard(tmp_path / "in/books/a.jsonl", records)
    with pytest.raises(InputError, match=r"at most 5.*such as 'author a'.*\[\[read\.subsets\]\]"):
        cleaned(ReadRecipe(max_subsets=5))
    rule = SubsetRule("books", "in/books/*")
    assert cleaned(ReadRecipe(max_subsets=5, subsets=(rule,))).subsets == ["books"]
