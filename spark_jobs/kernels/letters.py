"""Flags of each code point that the published quality filters use in addition to ``unicode_tables``."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from spark_jobs.kernels import unicode_tables

BLANK = 1  # str.isspace
ALPHABETIC = 2  # str.isalpha
SPOKEN = 4  # str.isalnum, or a combining mark
LOWER = 8  # str.islower

_IDEOGRAPHS = 0x20000


@lru_cache(maxsize=1)
def letters() -> npt.NDArray[np.uint8]:
    """Return the flags BLANK, ALPHABETIC, SPOKEN and LOWER, as an array indexed by code point."""
    classes = unicode_tables.classes()
    spoken = classes & (unicode_tables.ALPHANUMERIC | unicode_tables.MARK) != 0
    table = np.where(spoken, SPOKEN, 0).astype(np.uint8)
    table[classes & unicode_tables.WHITESPACE != 0] |= BLANK
    # above the ideographs' first code point, no letter has a case and all letters are alphanumeric
    points = np.union1d(np.arange(_IDEOGRAPHS), np.flatnonzero(classes))
    table[points[unicode_tables.marks(points, str.isalpha)]] |= ALPHABETIC
    table[points[unicode_tables.marks(points, str.islower)]] |= LOWER
    return table
