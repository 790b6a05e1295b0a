"""Grouping and look-up over NumPy columns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def integers(column: object) -> Integers:
    """Return an Arrow column of integers as a NumPy array."""
    return np.asarray(column, np.int64)


def runs(*keys: Integers) -> tuple[Integers, Integers]:
    """Return the start of each run of equal keys, and for each position the number of its run."""
    begins = np.zeros(len(keys[0]), np.bool_)
    begins[:1] = True
    for key in keys:
        begins[1:] |= key[1:] != key[:-1]
    return np.flatnonzero(begins), np.cumsum(begins) - 1


def first_of_equal(order: Integers, *keys: Integers) -> Integers:
    """Return for each position the first position, in ``order``, with the same keys.

    ``order`` sorts by the keys first.
    """
    starts, run = runs(*(key[order] for key in keys))
    first = np.empty(len(order), np.int64)
    first[order] = order[starts[run]]
    return first


def look_up(wanted: Integers, keys: Integers) -> tuple[Flags, Integers]:
    """Return which ``wanted`` are among the unique ``keys``, and the positions of those in ``keys``."""
    if not len(keys):
        return np.zeros(len(wanted), np.bool_), np.empty(0, np.int64)
    order = np.argsort(keys, kind="stable")
    position = order[np.minimum(np.searchsorted(keys, wanted, sorter=order), len(keys) - 1)]
    found = keys[position] == wanted
    return found, position[found]


def in_ranges(starts: Integers, ends: Integers) -> tuple[Integers, Integers]:
    """Return (range, position) for every position of every half-open range."""
    lengths = ends - starts
    which = np.repeat(np.arange(len(starts)), lengths)
    offset = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return which, starts[which] + offset
