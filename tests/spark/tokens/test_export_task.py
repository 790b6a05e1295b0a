from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.tokens.export_task import cut


@given(st.lists(st.integers(1, 50), max_size=40), st.integers(1, 100))
def test_cuts_hold_everything_in_order_and_as_much_as_fits(sizes: list[int], limit: int) -> None:
    parts = cut(np.array(sizes, np.int64), limit)
    assert [i for first, end in parts for i in range(first, end)] == list(range(len(sizes)))
    for first, end in parts:
        assert end == first + 1 or sum(sizes[first:end]) <= limit
        assert end == len(sizes) or sum(sizes[first : end + 1]) > limit
