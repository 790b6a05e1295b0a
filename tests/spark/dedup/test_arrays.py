"""Grouping and look-up of columns, and components by union-find, against plain Python."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.dedup.arrays import first_of_equal, in_ranges, look_up, runs
from spark_jobs.dedup.estimated_similarity import equal_share
from spark_jobs.dedup.survivors import precedence_order
from spark_jobs.dedup.union_find import join_buckets, join_edges, settle

few = st.integers(0, 5)
NODES = 8
edges = st.lists(st.tuples(st.integers(0, NODES - 1), st.integers(0, NODES - 1)), max_size=12)


def array(values: list[int]) -> np.ndarray:
    return np.array(values, np.int64)


@given(st.lists(st.tuples(few, few), max_size=12))
def test_runs_begin_where_a_key_changes(pairs: list[tuple[int, int]]) -> None:
    starts, numbers = runs(*(array([pair[n] for pair in pairs]) for n in range(2)))
    begins = [i for i, pair in enumerate(pairs) if i == 0 or pair != pairs[i - 1]]
    assert starts.tolist() == begins
    assert numbers.tolist() == [sum(begin <= i for begin in begins) - 1 for i in range(len(pairs))]


@given(st.lists(st.tuples(few, few), max_size=12))
def test_the_first_of_equal_keys_is_found_for_each(pairs: list[tuple[int, int]]) -> None:
    left, right = (array([pair[n] for pair in pairs]) for n in range(2))
    order = np.lexsort((right, left))
    assert first_of_equal(order, left, right).tolist() == [pairs.index(pair) for pair in pairs]


@given(st.lists(few, max_size=8), st.lists(few, max_size=6, unique=True))
def test_what_is_looked_up_is_found_at_its_position(wanted: list[int], keys: list[int]) -> None:
    found, positions = look_up(array(wanted), array(keys))
    assert found.tolist() == [value in keys for value in wanted]
    assert positions.tolist() == [keys.index(value) for value in wanted if value in keys]


@given(st.lists(st.tuples(few, few), max_size=6))
def test_ranges_are_spelled_out(spans: list[tuple[int, int]]) -> None:
    which, positions = in_ranges(array([s for s, _ in spans]), array([s + n for s, n in spans]))
    expected = [(number, s + i) for number, (s, n) in enumerate(spans) for i in range(n)]
    assert list(zip(which.tolist(), positions.tolist(), strict=True)) == expected


def components(pairs: list[tuple[int, int]]) -> list[int]:
    """Return the smallest node of the component of each node."""
    roots = list(range(NODES))
    for _ in range(NODES):
        for a, b in pairs:
            roots[a] = roots[b] = min(roots[a], roots[b])
    return roots


@given(edges)
def test_joined_nodes_point_to_the_smallest_of_their_component(pairs: list[tuple[int, int]]) -> None:
    parents = np.arange(NODES)
    join_edges(parents, array([a for a, _ in pairs]), array([b for _, b in pairs]))
    settle(parents)
    assert parents.tolist() == components(pairs)


@given(st.lists(few, min_size=NODES, max_size=NODES), edges)
def test_nodes_of_a_bucket_are_joined_also_with_earlier_edges(
    keys: list[int], pairs: list[tuple[int, int]]
) -> None:
    parents = np.arange(NODES)
    join_edges(parents, array([a for a, _ in pairs]), array([b for _, b in pairs]))
    join_buckets(parents, np.argsort(array(keys), kind="stable"), array(keys))
    settle(parents)
    same = [(a, b) for a in range(NODES) for b in range(a) if keys[a] == keys[b]]
    assert parents.tolist() == components([*pairs, *same])


@given(st.lists(st.integers(1, 4), max_size=8), st.integers(0, 8))
def test_documents_of_the_base_come_first_then_the_longest_then_the_smallest_number(
    characters: list[int], first_new: int
) -> None:
    docs = list(range(len(characters)))
    expected = sorted(docs, key=lambda doc: (doc >= first_new, -characters[doc], doc))
    assert precedence_order(array(docs), array(characters), first_new).tolist() == expected


def test_the_share_of_equal_minima_is_counted_by_row() -> None:
    left, right = (
        np.array([[1, 2, 3, 4], [1, 2, 3, 4]], np.int32),
        np.array([[1, 2, 0, 0], [4, 3, 2, 1]], np.int32),
    )
    assert equal_share(left, right).tolist() == [0.5, 0.0]
