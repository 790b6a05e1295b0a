"""Bars within tables: a bar stands beside its own number, so that no label can lie on another."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

#: Numbers that differ by more get bars by their logarithm: else most bars could not be seen.
_MOST_APART = 100

_THINNEST = 0.4


@dataclass(frozen=True)
class Scale:
    """From numbers to bars in percent of their room; logarithmic from ``smallest`` on, or linear from 0."""

    smallest: float
    largest: float
    logarithmic: bool

    @classmethod
    def of(cls, numbers: Iterable[float]) -> Scale:
        """The scale for these numbers."""
        positive = [number for number in numbers if number > 0] or [1]
        apart = max(positive) / min(positive) > _MOST_APART
        # a power of ten below the smallest, or that one would have no bar
        smallest = 10.0 ** (math.ceil(math.log10(min(positive))) - 1) if apart else 0.0
        return cls(smallest, max(positive), apart)

    def percent(self, number: float) -> float:
        """Width of the bar; what is not nothing can be seen."""
        if number <= 0:
            return 0
        share = number / self.largest
        if self.logarithmic:
            share = math.log(number / self.smallest) / math.log(self.largest / self.smallest)
        return max(_THINNEST, round(100 * share, 2))
