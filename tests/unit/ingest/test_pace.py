"""The pace of a body: a line of progress every half minute, and an error when bytes almost stop."""

from __future__ import annotations

import logging

import pytest

from include.ingest.errors import SourceUnavailable
from include.ingest.pace import Pace
from include.recipes.source import Politeness

POLITENESS = Politeness(read_timeout_seconds=10, min_bytes_per_second=100)


class Body:
    """A body that arrives under a clock that is set by hand."""

    def __init__(self, politeness: Politeness = POLITENESS) -> None:
        self.now = 50.0
        self.pace = Pace("shard", "http://h/shard", politeness, lambda: self.now)

    def came(self, seconds: float, count: int, offset: int = 0, total: int | None = None) -> None:
        self.now += seconds
        self.pace.came(count, offset, total)


def test_exactly_the_slowest_pace_is_fast_enough() -> None:
    body = Body()
    body.came(10, 1000)
    body.came(10, 1000)
    with pytest.raises(
        SourceUnavailable, match=r"http://h/shard: the body arrives too slowly; got 100 bytes/s"
    ):
        body.came(10, 999)


def test_the_pace_is_judged_over_a_whole_window_and_each_window_alone() -> None:
    body = Body()
    body.came(9.9, 0)
    body.came(0.1, 1000)
    body.came(5, 100_000)
    body.came(5, 0)
    with pytest.raises(SourceUnavailable, match="got 0 bytes/s"):
        body.came(10, 0)


def test_a_limit_of_0_lets_every_pace_pass() -> None:
    Body(Politeness(read_timeout_seconds=10, min_bytes_per_second=0)).came(1000, 0)


@pytest.mark.parametrize(
    ("offset", "total", "text"),
    [
        (1_500_000, None, "shard: 1.5 MB, 0.1 MB/s"),
        (1_500_000, 0, "shard: 1.5 MB, 0.1 MB/s"),
        (1_500_000, 6_000_000, "shard: 1.5 of 6.0 MB (25.0 %), 0.1 MB/s"),
        (10**12, None, "shard: 1000000.0 MB, 0.1 MB/s"),
        (10**12, 2 * 10**12, "shard: 1000000.0 of 2000000.0 MB (50.0 %), 0.1 MB/s"),
    ],
)
def test_progress_is_logged_every_half_minute(
    caplog: pytest.LogCaptureFixture, offset: int, total: int | None, text: str
) -> None:
    caplog.set_level(logging.INFO)
    body = Body()
    body.came(20, 1_000_000)
    body.came(9.9, 1_000_000)
    assert caplog.messages == []
    body.came(0.1, 1_000_000, offset, total)
    assert caplog.messages == [text]
    body.came(29.9, 1_000_000)
    assert len(caplog.messages) == 1
    body.came(0.1, 29_000_000, 9, None)
    assert caplog.messages[1:] == ["shard: 0.0 MB, 1.0 MB/s"]
