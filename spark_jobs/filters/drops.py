"""Drop documents and count why. A document is dropped for the first rule that it violates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

#: Examples that are kept for each reason.
_EXAMPLES = 3
#: One more character than the report shows, so that the report can mark a shortened text.
_EXAMPLE_CHARACTERS = 301


class Example(NamedTuple):
    """The beginning of a dropped document; ``row`` counts the records of its shard."""

    row: int
    text: str


class Drops(Counter[str]):
    """Counts of dropped documents by reason, with the first few documents of each."""

    def __init__(self, *counts: Any, **more: Any) -> None:
        super().__init__(*counts, **more)
        self.examples: dict[str, list[Example]] = {}

    def lack_example(self, reason: str) -> bool:
        """Return True if more examples of this reason are wanted."""
        return len(self.examples.get(reason, ())) < _EXAMPLES

    def add_example(self, reason: str, row: int, text: str) -> None:
        """Keep the beginning of a document. Call it only if ``lack_example`` is True."""
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
    """Count the documents that ``hits`` marks; Drops also keeps the first of them as examples."""
    dropped[reason] += int(hits.sum())
    if isinstance(dropped, Drops):
        for position in np.flatnonzero(hits)[:_EXAMPLES].tolist():
            if dropped.lack_example(reason):
                text = batch.column("text")[position].as_py()
                dropped.add_example(reason, batch.column("row")[position].as_py(), text)


def above(values: npt.NDArray[np.float64], maximum: float) -> npt.NDArray[np.bool_]:
    """Mark values above a maximum; a maximum of 0 is switched off."""
    return values > maximum if maximum else np.zeros(len(values), np.bool_)


def below(values: npt.NDArray[np.float64], minimum: float) -> npt.NDArray[np.bool_]:
    """Mark values below a minimum; a minimum of 0 is switched off."""
    return values < minimum if minimum else np.zeros(len(values), np.bool_)


def drop_violations(
    batch: pa.RecordBatch, violations: Mapping[str, npt.NDArray[np.bool_]], dropped: Counter[str]
) -> pa.RecordBatch:
    """Return the documents that violate no rule. Count the others by the first rule that they violate.

    ``violations`` marks documents by reason, in the order of the rules.
    """
    kept = np.ones(batch.num_rows, np.bool_)
    for reason, violates in violations.items():
        if (hits := kept & violates).any():
            count_drops(dropped, str(reason), batch, hits)
            kept &= ~violates
    return batch if kept.all() else batch.filter(pa.array(kept))
