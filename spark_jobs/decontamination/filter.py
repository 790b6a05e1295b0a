"""Documents that contain items of benchmarks are dropped, and what they contained is said."""

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
    """What documents had of one benchmark."""

    documents: int = 0
    #: Positions of the items in the benchmark's file, from 0.
    items: set[int] = field(default_factory=set)
    #: An n-gram of an item that a document has.
    example: str = ""

    def merge(self, other: Contamination) -> None:
        """Add what another task found."""
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
    """The documents without enough of any item; ``found`` says by benchmark what the others had.

    A document with items of several benchmarks is in ``found`` of each, and in ``dropped`` of the first.
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
