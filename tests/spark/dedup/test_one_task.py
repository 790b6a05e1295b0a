"""Decisions in one task are those of Spark's queries, and hold what they promise."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.recipes.corpus import CorpusRecipe, HeldOutRecipe
from include.recipes.near_dedup import NearDedupRecipe
from spark_jobs.cleaning.task import CleanFile
from spark_jobs.corpus_version.layout import VersionLayout
from spark_jobs.dedup import candidate_pairs
from spark_jobs.dedup.decide import Corpus, decide_in_one_task, decide_on_spark
from spark_jobs.dedup.one_task import chosen, exact_twins, meetings, near_roots, turns
from spark_jobs.dedup.rounds import leaders
from spark_jobs.runtime.tables import SIGNED_SCHEMA, read_decided

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

RECIPE = CorpusRecipe(
    "test",
    near_dedup=NearDedupRecipe(bands=3, rows=2),
    held_out=HeldOutRecipe(share=0.1, max_documents_per_subset=4, min_documents=8),
)


def corpus(root: Path, files: int, documents: int, seed: int) -> tuple[VersionLayout, list[CleanFile]]:
    """Signatures of a corpus with many equal texts, shared bands, equal lengths and wordless documents."""
    source = np.random.default_rng(seed)
    layout, clean = VersionLayout(str(root)), []
    for file in range(files):
        rows = documents + file
        text = source.integers(0, documents * 2, rows)
        bands = source.integers(0, documents * 3, (rows, 3)) * 3 + np.arange(3)
        minima = source.integers(0, 3, (rows, 6))
        columns = {
            "doc": np.arange(rows) + (file << 36),
            "part": np.full(rows, file // 2, np.int32),
            "file": np.full(rows, file % 2, np.int32),
            "characters": source.integers(200, 205, rows),
            "text_low": text,
            "text_high": text // 2,
            "id_hash": source.integers(0, 2**63, rows),
            "subset": pa.array(source.choice(["a", "b", "c"], rows, p=[0.8, 0.15, 0.05])),
            "ngrams": (source.random(rows) > 0.1).astype(np.int32),
            "minhash": list(minima.astype(np.int32)),
            "bands": list(bands),
        }
        clean.append(CleanFile(f"part-{file // 2:05d}-{file % 2:03d}.parquet", file // 2, file % 2, rows, 0))
        path = root / "work/signatures" / clean[-1].name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns, schema=SIGNED_SCHEMA), path)
    return layout, clean


def decisions(layout: VersionLayout, files: list[CleanFile]) -> list[dict[str, object]]:
    return [row for file in files for row in read_decided(layout.decisions, file.part, file.file).to_pylist()]


@pytest.mark.parametrize("seed", range(4))
def test_one_task_decides_as_spark_does(seed: int, spark: SparkSession, tmp_path: Path) -> None:
    layout, files = corpus(tmp_path / "one", files=3, documents=60, seed=seed)
    counts = decide_in_one_task(spark, Corpus(layout, RECIPE, files))
    other, _ = corpus(tmp_path / "spark", files=3, documents=60, seed=seed)
    by_spark = decide_on_spark(spark, Corpus(other, RECIPE, files))
    assert decisions(layout, files) == decisions(other, files)
    assert (counts.exact, counts.near) == (by_spark.exact, by_spark.near)
    assert counts.exact > 5 and counts.near > 5


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
@settings(deadline=None)
def test_the_first_of_equal_texts_stands_for_all(texts: list[tuple[int, int]]) -> None:
    low, high = np.array(texts, np.int64).T
    assert exact_twins(low, high).tolist() == [texts.index(text) for text in texts]


def test_a_hot_bucket_takes_one_edge_less_than_its_documents() -> None:
    bands = np.stack([np.zeros(3000, np.int64), np.arange(1, 3001)], axis=1)
    roots, edges = near_roots(bands, np.ones(3000, np.bool_))
    assert edges == 2999 and not roots.any()


def precedence(characters: list[int], new: np.ndarray) -> np.ndarray:
    order = np.lexsort((np.arange(len(new)), -np.array(characters), new))
    return np.argsort(order)


def test_the_longest_of_a_cluster_stays_then_the_smallest() -> None:
    roots = np.array([0, 0, 2, 0, 4, 2])
    characters, new = [1, 9, 5, 9, 1, 5], np.ones(6, np.bool_)
    assert chosen(roots, precedence(characters, new), new).tolist() == [1, 1, 2, 1, 4, 2]
    new[[0, 2]] = False  # those of the base stay, and stand for the new ones of their cluster
    assert chosen(roots, precedence(characters, new), new).tolist() == [0, 0, 2, 0, 4, 2]


@given(st.integers(0, 10_000), st.integers(2, 5), st.integers(1, 40), st.sampled_from([0.0, 0.3, 0.8]))
def test_rounds_decide_as_going_one_by_one_does(seed: int, bands: int, documents: int, base: float) -> None:
    source = np.random.default_rng(seed)
    keys = source.integers(0, documents, (documents, bands))
    new = np.arange(documents) >= base * documents
    layout = precedence(source.integers(0, 9, documents).tolist(), new)
    alike = source.random((documents, documents)) < 0.4
    met = (keys[:, None, :] == keys[None, :, :]).any(axis=2)

    stays: list[int] = []
    for doc in np.argsort(layout).tolist():
        if not new[doc] or not any(met[doc, other] and alike[doc, other] for other in stays):
            stays.append(doc)

    active = np.ones(documents, np.bool_)
    dropped: set[int] = set()
    for number in range(documents + 1):
        docs, kept = turns(meetings(keys, active, layout, new, leaders(number)), new)
        if not len(docs):
            break
        found = docs[alike[docs, kept]]
        dropped.update(found.tolist())
        active[kept] = active[found] = False
    assert set(range(documents)) - dropped == set(stays)


def test_many_of_the_base_in_one_bucket_take_few_rounds() -> None:
    keys = np.zeros((1001, 1), np.int64)
    new = np.arange(1001) == 1000
    active, compared = np.ones(1001, np.bool_), 0
    for number in range(11):  # 1 + 2 + 4 + … + 512
        docs, kept = turns(meetings(keys, active, precedence([9] * 1001, new), new, leaders(number)), new)
        assert set(docs) <= {1000}
        compared += len(kept)
        active[kept] = False
        if not len(docs):
            break
    assert compared == 1000 and number == 10


@pytest.mark.parametrize(("first_new", "at_once"), [(0, 1), (30, 1), (30, 3), (30, 512)])
def test_spark_lets_the_same_documents_lead(first_new: int, at_once: int, spark: SparkSession) -> None:
    source = np.random.default_rng(at_once)
    keys = source.integers(0, 12, (60, 3)) * 3 + np.arange(3)
    characters, new = source.integers(0, 5, 60), np.arange(60) >= first_new
    met = meetings(keys, np.ones(60, np.bool_), precedence(characters.tolist(), new), new, at_once)
    docs, kept = turns(met, new)
    frame = spark.createDataFrame(
        [(doc, int(characters[doc]), row) for doc, row in enumerate(keys.tolist())],
        "doc long, characters long, bands array<long>",
    )
    by_spark = candidate_pairs.meetings(frame, first_new, at_once)
    assert {tuple(row) for row in by_spark.collect()} == {
        pair for of_band in met for pair in zip(*(column.tolist() for column in of_band), strict=True)
    }
    pairs = candidate_pairs.turns(by_spark, first_new).collect()
    assert sorted(tuple(row) for row in pairs) == sorted(zip(docs.tolist(), kept.tolist(), strict=True))
