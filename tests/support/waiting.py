"""Wait for something that another process or thread does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def wait_until(
    ask: Callable[[], T],
    good: Callable[[T], Any] = bool,
    *,
    seconds: float = 60.0,
    every_seconds: float = 0.02,
    what: str | Callable[[], object] = "",
) -> T:
    """Call ``ask`` until ``good`` accepts its answer, and return that answer.

    Raises AssertionError with the last answer after ``seconds``. ``what`` is added to the message; a function
    is called for it.
    """
    deadline = time.monotonic() + seconds
    while not good(answer := ask()):
        if time.monotonic() > deadline:
            detail = what() if callable(what) else what
            raise AssertionError(f"still {answer!r} after {seconds:g} s{f': {detail}' if detail else ''}")
        time.sleep(every_seconds)
    return answer
