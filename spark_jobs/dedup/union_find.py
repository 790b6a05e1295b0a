"""Connected components by union-find; the root of a component is its smallest node."""

from __future__ import annotations

from spark_jobs.dedup.arrays import Integers
from spark_jobs.kernels.compiled import kernel


@kernel
def _root(parents: Integers, node: int) -> int:
    while parents[node] != node:
        parents[node] = parents[parents[node]]  # path halving
        node = parents[node]
    return node


@kernel
def _union(parents: Integers, left: int, right: int) -> None:
    a, b = _root(parents, left), _root(parents, right)
    if a < b:
        parents[b] = a
    elif b < a:
        parents[a] = b


@kernel
def join_edges(parents: Integers, left: Integers, right: Integers) -> None:
    """Join the two nodes of each edge."""
    for e in range(len(left)):
        _union(parents, left[e], right[e])


@kernel
def join_buckets(parents: Integers, order: Integers, keys: Integers) -> None:
    """Join the nodes with equal keys.

    ``order`` lists the nodes so that equal keys are neighbours; ``keys`` has the key of each node. A bucket
    takes one union less than it has nodes, however many pairs that is.
    """
    for i in range(1, len(order)):
        if keys[order[i]] == keys[order[i - 1]]:
            _union(parents, order[i - 1], order[i])


@kernel
def settle(parents: Integers) -> None:
    """Point every node to its root."""
    for node in range(len(parents)):
        parents[node] = _root(parents, node)
