"""What the rules share: a document goes with the first rule that it breaks as its reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

#: Of each reason.
_EXAMPLES = 3
#: One more than the report shows, which tells by it that there is more.
_EXAMPLE_CHARACTERS = 301


class Example(NamedTuple):
    """The beginning of a dropped document; ``row`` counts the records of its shard."""

    row: int
    text: str


class Drops(Counter[str]):
    """How many documents were dropped by reason, and the first few of each."""

    def __init__(self, *counts: Any, **more: Any) -> None:
        super().__init__(*counts, **more)
        self.examples: dict[str, list[Example]] = {}

    def lack_example(self, reason: str) -> bool:
        """Whether fewer are kept than are to be shown."""
        return len(self.examples.get(reason, ())) < _EXAMPLES

    def add_example(self, reason: str, row: int, text: str) -> None:
        """Keep the beginning of one; ``lack_example`` says whether one is wanted."""
        self.examples.setdefault(reason, []).append(Example(row, text[:_EXAMPLE_CHARACTERS]))

    def __reduce__(self) -> tuple[Callable[..., Drops], tuple[Any, ...]]:
        return _restored, (dict(self), self.examples)


def _restored(counts: dict[str, int], examples: dict[str, list[Example]]) -> Drops:
    drops = Drops(counts)
    drops.examples = examples
    return drops


def count_drops(
    dropped: Counter[str], reason: str, batch: pa.RecordBatch, hits: npt.NDArray[np.bool_]
) -> None:
    """Count the documents that ``hits`` marks; Drops also gets the first of them as examples."""
    dropped[reason] += int(hits.sum())
    if isinstance(dropped, Drops):
        for position in np.flatnonzero(hits)[:_EXAMPLES].tolist():
            if dropped.lack_example(reason):
                text = batch.column("text")[position].as_py()
                dropped.add_example(reason, batch.column("row")[position].as_py(), text)


def drop_broken(
    batch: pa.RecordBatch, broken: Mapping[str, npt.NDArray[np.bool_]], dropped: Counter[str]
) -> pa.RecordBatch:
    """The documents that break no rule; the others counted in ``dropped`` by the first that they break."""
    kept = np.ones(batch.num_rows, np.bool_)
    for reason, breaks in broken.items():
        if (hits := kept & breaks).any():
            count_drops(dropped, str(reason), batch, hits)
            kept &= ~breaks
    return batch if kept.all() else batch.filter(pa.array(kept))
