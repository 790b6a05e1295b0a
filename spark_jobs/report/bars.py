"""Bars in tables. Each bar is in the cell next to its number, so labels cannot overlap."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

#: Above this ratio of the largest to the smallest number the scale is logarithmic. Most bars of a linear
#: one would be too short to see.
_MOST_APART = 100

_THINNEST = 0.4


@dataclass(frozen=True)
class Scale:
    """A mapping of numbers to widths of bars in percent: logarithmic from ``smallest``, or linear from 0."""

    smallest: float
    largest: float
    logarithmic: bool

    @classmethod
    def of(cls, numbers: Iterable[float]) -> Scale:
        """Choose the scale for these numbers."""
        positive = [number for number in numbers if number > 0] or [1]
        apart = max(positive) / min(positive) > _MOST_APART
        # starts at a power of ten below the smallest number, which otherwise would have no bar
        smallest = 10.0 ** (math.ceil(math.log10(min(positive))) - 1) if apart else 0.0
        return cls(smallest, max(positive), apart)

    def percent(self, number: float) -> float:
        """Return the width of the bar. It is visible for every number above 0."""
        if number <= 0:
            return 0
        share = number / self.largest
        if self.logarithmic:
            share = math.log(number / self.smallest) / math.log(self.largest / self.smallest)
        return max(_THINNEST, round(100 * share, 2))
