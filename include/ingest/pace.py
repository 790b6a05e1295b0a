"""Measures how fast bytes arrive, logs progress, and fails if they almost stop."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from include.ingest.errors import SourceUnavailable
from include.recipes.source import Politeness

log = logging.getLogger(__name__)

_LOG_EVERY_SECONDS = 30.0


class Pace:
    """The pace of one body. ``clock`` gives seconds."""

    def __init__(
        self,
        name: str,
        url: str,
        politeness: Politeness,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._url = url
        self._window_seconds = politeness.read_timeout_seconds
        self._slowest = politeness.min_bytes_per_second
        self._clock = clock
        now = clock()
        self._window, self._in_window = now, 0
        self._logged, self._since_log = now, 0

    def came(self, count: int, offset: int, total: int | None) -> None:
        """Record ``count`` more bytes; ``offset`` of ``total`` are kept. Raises SourceUnavailable.

        A read timeout does not notice a server that sends a byte now and then.
        """
        now = self._clock()
        self._in_window += count
        self._since_log += count
        if (elapsed := now - self._window) >= self._window_seconds:
            rate = self._in_window / elapsed
            if rate < self._slowest:
                raise SourceUnavailable(
                    "the body arrives too slowly", where=self._url, got=f"{rate:.0f} bytes/s"
                )
            self._window, self._in_window = now, 0
        if (elapsed := now - self._logged) >= _LOG_EVERY_SECONDS:
            log.info("%s: %s, %.1f MB/s", self._name, _share(offset, total), self._since_log / elapsed / 1e6)
            self._logged, self._since_log = now, 0


def _share(offset: int, total: int | None) -> str:
    if not total:
        return f"{offset / 1e6:.1f} MB"
    return f"{offset / 1e6:.1f} of {total / 1e6:.1f} MB ({100 * offset / total:.1f} %)"
