from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.object_store import STORE
from include.recipes.corpus import CorpusRecipe
from spark_jobs.corpus_version.layout import VersionLayout
from spark_jobs.dedup import components
from spark_jobs.dedup.components import CLUSTERS, EDGE_SCHEMA, EDGES_BETWEEN, EDGES_WITHIN, spanning_forest
from spark_jobs.dedup.exact_duplicates import PAIR_SCHEMA
from spark_jobs.dedup.partitions import Partitions
from spark_jobs.runtime.tables import read_tables

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FIRST_NEW = 6
Edges = list[tuple[int, int]]
edge_lists = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=60)


def characters(doc: int) -> int:
    return doc * 7 % 5


def table(edges: Edges) -> pa.Table:
    rows = [(a, characters(a), b, characters(b)) for a, b in edges]
    return pa.Table.from_pylist([dict(zip(EDGE_SCHEMA.names, row, strict=True)) for row in rows], EDGE_SCHEMA)


def first_of_components(edges: Edges) -> dict[int, int]:
    """Return the first document of the component of each document but the first ones, by search."""
    neighbours: dict[int, set[int]] = {}
    for a, b in edges:
        neighbours.setdefault(a, set()).add(b)
        neighbours.setdefault(b, set()).add(a)
    found: dict[int, int] = {}
    for start in neighbours:
        reached, waiting = {start}, [start]
        while waiting:
            for node in neighbours[waiting.pop()] - reached:
                reached.add(node)
                waiting.append(node)
        found[start] = min(reached, key=lambda doc: (doc >= FIRST_NEW, -characters(doc), doc))
    return {node: first for node, first in found.items() if node != first}


@given(edge_lists)
def test_a_spanning_forest_has_the_first_document_of_each_component(edges: Edges) -> None:
    forest = spanning_forest(table(edges), FIRST_NEW).to_pydict()
    found = dict(zip(forest["doc"], forest["other"], strict=True))
    assert found == first_of_components(edges)
    assert forest["characters"] == [characters(doc) for doc in forest["doc"]]
    assert forest["other_characters"] == [characters(doc) for doc in forest["other"]]


CHAIN = [(i + 1, i) for i in range(20)]
STARS = [(200 + 10 * s + i, 200 + 10 * s) for s in range(3) for i in range(1, 10)]


@pytest.mark.parametrize("edges_in_one_task", [10**6, -1], ids=["one task", "star rounds"])
@pytest.mark.parametrize("edges", [[], [*CHAIN, *STARS, (229, 211)]], ids=["no edges", "chain and stars"])
def test_all_but_the_first_document_of_a_cluster_are_dropped_and_none_of_the_base(
    edges: Edges,
    edges_in_one_task: int,
    spark: SparkSession,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(components, "EDGES_IN_ONE_TASK", edges_in_one_task)
    layout = VersionLayout(str(tmp_path))
    partitions = Partitions(layout, CorpusRecipe("test"), ((), ()), (0, 100), FIRST_NEW)
    partitions.save(EDGES_WITHIN, 0, table(edges[::2]))
    partitions.save(EDGES_BETWEEN, 1, table(edges[1::2]))
    count = components.write_clusters(spark, partitions, len(edges))
    pairs = read_tables(STORE.uris(partitions.folder(CLUSTERS)), PAIR_SCHEMA).to_pydict()
    expected = {doc: kept for doc, kept in first_of_components(edges).items() if doc >= FIRST_NEW}
    assert dict(zip(pairs["doc"], pairs["kept"], strict=True)) == expected
    assert count == len(set(expected.values()))
