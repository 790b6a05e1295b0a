"""The rule for which document of a cluster of duplicates stays: the first one in the order of precedence.

Documents of the base come first, then those with the most characters, then the smallest number. Documents of
the base always stay; a new document is dropped for the first document of its cluster.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from spark_jobs.dedup.arrays import Integers

#: A NumPy array or a Spark column.
Column = TypeVar("Column")


def precedence(doc: Column, characters: Column, first_new: int) -> tuple[Column, Column, Column]:
    """Return the sort keys of the order of precedence, most significant first; the smallest comes first.

    Documents numbered below ``first_new`` are those of the base.
    """
    return doc >= first_new, -characters, doc  # type: ignore[operator, return-value]


def precedence_order(docs: Integers, characters: Integers, first_new: int) -> Integers:
    """Return the positions of the documents in the order of precedence."""
    return np.lexsort(precedence(docs, characters, first_new)[::-1])
