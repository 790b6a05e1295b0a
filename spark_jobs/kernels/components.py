"""Connected components of an edge list by union-find; the root of a component is its smallest node."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spark_jobs.kernels.compiled import kernel


@kernel
def _root(parents: npt.NDArray[np.int64], node: int) -> int:
    while parents[node] != node:
        parents[node] = parents[parents[node]]  # path halving
        node = parents[node]
    return node


@kernel
def _join(parents: npt.NDArray[np.int64], left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> None:
    for e in range(len(left)):
        a, b = _root(parents, left[e]), _root(parents, right[e])
        if a < b:
            parents[b] = a
        elif b < a:
            parents[a] = b
    for node in range(len(parents)):
        parents[node] = _root(parents, node)


def components(
    left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Every node but the roots, ascending, and its root."""
    nodes, positions = np.unique(np.concatenate([left, right]), return_inverse=True)
    parents = np.arange(len(nodes), dtype=np.int64)
    _join(parents, positions[: len(left)].astype(np.int64), positions[len(left) :].astype(np.int64))
    inner = parents != np.arange(len(nodes))
    return nodes[inner], nodes[parents[inner]]
