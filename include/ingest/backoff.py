"""Waits between the tries of a request."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from include.ingest.errors import SourceUnavailable
from include.recipes.source import Politeness

log = logging.getLogger(__name__)

T = TypeVar("T")
Sleep = Callable[[float], None]


def retry_after_seconds(header: str, now: datetime | None = None) -> float:
    """Return the seconds of a Retry-After header (a number or a date); 0 if it has no usable value."""
    header = header.strip()
    if header.isascii() and header.isdigit():
        return float(header[:9])
    try:
        moment = parsedate_to_datetime(header)
    except (ValueError, OverflowError):  # a year of twenty digits is an OverflowError
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())


def delay_seconds(attempt: int, politeness: Politeness, asked: float, chance: float) -> float:
    """Return the wait after failed try ``attempt`` (from 1): doubled each time, at least as asked.

    ``chance`` in [0, 1) spreads tasks that failed together over the upper half of the interval.
    """
    ceiling = min(politeness.max_wait_seconds, politeness.backoff_seconds * 2.0 ** min(attempt - 1, 30))
    return max(asked, ceiling * (0.5 + 0.5 * chance))


class Patience:
    """A count of tries without progress, and the waits between them."""

    def __init__(self, politeness: Politeness, sleep: Sleep = time.sleep) -> None:
        self._politeness = politeness
        self._sleep = sleep
        self._failed = 0

    def progressed(self) -> None:
        """Record progress: the count of tries starts again."""
        self._failed = 0

    def endure(self, error: SourceUnavailable) -> None:
        """Log the error and wait before the next try; raise ``error`` if it was the last one.

        A wait above ``max_wait_seconds`` is refused, so that a worker does not sleep for a server.
        """
        self._failed += 1
        asked = error.retry_after_seconds
        if self._failed >= self._politeness.max_attempts or asked > self._politeness.max_wait_seconds:
            raise error
        seconds = delay_seconds(self._failed, self._politeness, asked, random.random())
        tries = self._politeness.max_attempts
        log.warning("%s; try %s of %s follows in %.1f s", error, self._failed + 1, tries, seconds)
        self._sleep(seconds)


def persist(action: Callable[[], T], politeness: Politeness, sleep: Sleep = time.sleep) -> T:
    """Return the result of ``action``, and try again while the source is unavailable."""
    patience = Patience(politeness, sleep)
    while True:
        try:
            return action()
        except SourceUnavailable as error:
            patience.endure(error)
