"""Connected components by union-find; the root of a component is its smallest node."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spark_jobs.kernels.compiled import kernel

Nodes = npt.NDArray[np.int64]


@kernel
def _root(parents: Nodes, node: int) -> int:
    while parents[node] != node:
        parents[node] = parents[parents[node]]  # path halving
        node = parents[node]
    return node


@kernel
def _union(parents: Nodes, left: int, right: int) -> None:
    a, b = _root(parents, left), _root(parents, right)
    if a < b:
        parents[b] = a
    elif b < a:
        parents[a] = b


@kernel
def _join(parents: Nodes, left: Nodes, right: Nodes) -> None:
    for e in range(len(left)):
        _union(parents, left[e], right[e])


@kernel
def join_buckets(parents: Nodes, order: Nodes, keys: Nodes) -> int:
    """Join nodes of equal keys; how many edges that took, one less than nodes in each bucket.

    ``order`` lists the nodes with equal keys side by side; ``keys`` has the key of each node.
    """
    edges = 0
    for i in range(1, len(order)):
        if keys[order[i]] == keys[order[i - 1]]:
            _union(parents, order[i - 1], order[i])
            edges += 1
    return edges


@kernel
def settle(parents: Nodes) -> None:
    """Point every node to its root."""
    for node in range(len(parents)):
        parents[node] = _root(parents, node)


def components(left: Nodes, right: Nodes) -> tuple[Nodes, Nodes]:
    """Of an edge list: every node but the roots, ascending, and its root."""
    nodes, positions = np.unique(np.concatenate([left, right]), return_inverse=True)
    parents = np.arange(len(nodes), dtype=np.int64)
    _join(parents, positions[: len(left)].astype(np.int64), positions[len(left) :].astype(np.int64))
    settle(parents)
    inner = parents != np.arange(len(nodes))
    return nodes[inner], nodes[parents[inner]]
