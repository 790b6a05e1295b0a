from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.dedup.union_find import components

EDGES = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=60)


def searched(edges: list[tuple[int, int]]) -> dict[int, int]:
    """Node to smallest node of its component, by search; roots left out."""
    neighbours: dict[int, set[int]] = {}
    for a, b in edges:
        neighbours.setdefault(a, set()).add(b)
        neighbours.setdefault(b, set()).add(a)
    found: dict[int, int] = {}
    for start in sorted(neighbours):
        reached, waiting = {start}, [start]
        while waiting:
            for node in neighbours[waiting.pop()] - reached:
                reached.add(node)
                waiting.append(node)
        found[start] = min(reached)
    return {node: root for node, root in found.items() if node != root}


@given(EDGES)
def test_roots_are_the_smallest_nodes_of_their_components(edges: list[tuple[int, int]]) -> None:
    left, right = (np.array([edge[k] for edge in edges], np.int64) for k in (0, 1))
    nodes, roots = components(left, right)
    assert dict(zip(nodes.tolist(), roots.tolist(), strict=True)) == searched(edges)
