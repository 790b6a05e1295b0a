from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spark_jobs.dedup.components import connected_components

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CHAIN = [(i + 1, i) for i in range(40)]
TREE = [(100 + i, 100 + (i - 1) // 2) for i in range(1, 60)]
STARS = [(200 + 10 * s + i, 200 + 10 * s) for s in range(3) for i in range(1, 10)]
BRIDGED = [*STARS, (229, 211)]
RANDOM = [
    (max(pair), min(pair))
    for pair in zip(
        random.Random(1).choices(range(300, 400), k=70),
        random.Random(2).choices(range(300, 400), k=70),
        strict=True,
    )
    if pair[0] != pair[1]
]


def union_find(edges: list[tuple[int, int]]) -> dict[int, int]:
    parents: dict[int, int] = {}

    def root(node: int) -> int:
        while parents.setdefault(node, node) != node:
            node = parents[node]
        return node

    for a, b in edges:
        low, high = sorted((root(a), root(b)))
        parents[high] = low
    return {node: root(node) for node in parents if root(node) != node}


@pytest.mark.parametrize("edges_in_one_task", [10**6, 0], ids=["one task", "star rounds"])
def test_components_are_those_of_union_find(
    edges_in_one_task: int, spark: SparkSession, tmp_path: Path
) -> None:
    edges = [*CHAIN, *TREE, *BRIDGED, *RANDOM]
    uri = str(tmp_path / "edges")
    spark.createDataFrame(edges, "doc long, root long").repartition(3).write.parquet(uri)
    found = connected_components(spark, uri, str(tmp_path / "work"), edges_in_one_task)
    assert {row.doc: row.root for row in found.collect()} == union_find(edges)
    assert found.count() == len(union_find(edges))


@pytest.mark.parametrize("edges_in_one_task", [10**6, -1], ids=["one task", "star rounds"])
def test_no_edges_have_no_components(edges_in_one_task: int, spark: SparkSession, tmp_path: Path) -> None:
    uri = str(tmp_path / "edges")
    spark.createDataFrame([], "doc long, root long").write.parquet(uri)
    assert connected_components(spark, uri, str(tmp_path / "work"), edges_in_one_task).count() == 0
