"""Waits: what a server asks for is kept, within bounds."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.ingest.backoff import Patience, delay_seconds, persist, retry_after_seconds
from include.ingest.errors import SourceUnavailable
from include.recipes.source import Politeness

NOW = datetime(2026, 1, 1, tzinfo=UTC)
POLITE = Politeness(max_attempts=4, backoff_seconds=1, max_wait_seconds=10)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120),
        (" 7 ", 7),
        ("Thu, 01 Jan 2026 00:01:00 GMT", 60),
        ("Wed, 31 Dec 2025 23:00:00 GMT", 0),
        ("soon", 0),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", 0),
        ("-5", 0),
        ("", 0),
        ("٣", 0),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str, seconds: float) -> None:
    assert retry_after_seconds(header, NOW) == seconds


@settings(deadline=None)
@given(st.integers(1, 1000), st.floats(0, 100), st.floats(0, 1, exclude_max=True))
def test_a_wait_is_never_shorter_than_asked_for_nor_longer_than_allowed(
    attempt: int, asked: float, chance: float
) -> None:
    seconds = delay_seconds(attempt, POLITE, asked, chance)
    assert asked <= seconds <= max(asked, POLITE.max_wait_seconds)
    assert seconds >= min(POLITE.max_wait_seconds, 2.0 ** (min(attempt, 30) - 1)) / 2


def test_tries_end_and_progress_begins_the_count_anew() -> None:
    waited: list[float] = []
    patience = Patience(POLITE, waited.append)
    for _ in range(3):
        patience.endure(SourceUnavailable("no"))
    patience.progressed()
    for _ in range(3):
        patience.endure(SourceUnavailable("no"))
    with pytest.raises(SourceUnavailable):
        patience.endure(SourceUnavailable("no"))
    assert len(waited) == 6


def test_a_server_that_asks_for_much_patience_is_left_alone() -> None:
    waited: list[float] = []
    with pytest.raises(SourceUnavailable):
        Patience(POLITE, waited.append).endure(SourceUnavailable("no", retry_after_seconds=11))
    assert waited == []


def test_a_wait_is_logged_before_it_begins(caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []
    patience = Patience(POLITE, lambda _: told.append(caplog.messages[-1]))
    patience.endure(SourceUnavailable("no answer", where="https://there/"))
    assert [text.split(" follows in ")[0] for text in told] == ["https://there/: no answer; try 2 of 4"]


def test_an_action_is_tried_again_until_it_succeeds() -> None:
    failures = [SourceUnavailable("no", retry_after_seconds=3), SourceUnavailable("no")]
    waited: list[float] = []

    def action() -> str:
        if failures:
            raise failures.pop(0)
        return "done"

    assert persist(action, POLITE, waited.append) == "done"
    assert waited[0] >= 3
