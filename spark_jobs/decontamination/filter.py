"""Removal of documents that contain items of benchmarks, with a record of the items found."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from include.contracts.documents import DropReason
from include.recipes.decontamination import DecontaminateRecipe
from spark_jobs.decontamination.index import BenchmarkIndex
from spark_jobs.filters.drops import drop_violations


@dataclass
class Contamination:
    """The items of one benchmark that were found in documents."""

    documents: int = 0
    #: Positions of the items in the benchmark's file, from 0.
    items: set[int] = field(default_factory=set)
    #: An n-gram of an item that is in a document.
    example: str = ""

    def merge(self, other: Contamination) -> None:
        """Add the findings of another task."""
        self.documents += other.documents
        self.items |= other.items
        self.example = self.example or other.example


def decontaminate(
    batch: pa.RecordBatch,
    index: BenchmarkIndex,
    recipe: DecontaminateRecipe,
    dropped: Counter[str],
    found: dict[str, Contamination],
) -> pa.RecordBatch:
    """Keep the documents that do not contain enough of any item. Record the others' items in ``found``.

    A document with items of several benchmarks counts in ``found`` for each and in ``dropped`` for the first.
    """
    if not index.names:
        return batch
    rows = index.search(batch.column("text"), recipe)
    if not len(rows):
        return batch
    benchmarks = index.unit_benchmarks[rows[:, 1]]
    for number in np.unique(benchmarks).tolist():
        mine = rows[benchmarks == number]
        here = found.setdefault(index.names[number], Contamination())
        _, unit, ngram = mine[0].tolist()
        here.merge(
            Contamination(
                len(np.unique(mine[:, 0])),
                set(index.unit_items[mine[:, 1]].tolist()),
                here.example or index.ngram_text(unit, ngram, recipe),
            )
        )
    first = np.full(batch.num_rows, len(index.names))
    np.minimum.at(first, rows[:, 0], benchmarks)
    broken = {
        f"{DropReason.CONTAMINATED.value}:{name}": first == number for number, name in enumerate(index.names)
    }
    return drop_violations(batch, broken, dropped)
