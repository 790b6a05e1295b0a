"""Signals as a process in a terminal has them."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


@contextmanager
def signals_as_in_a_terminal(numbers: Sequence[signal.Signals]) -> Iterator[None]:
    """Restore the default handling of ``numbers`` within the block.

    Tests that run in the background or under nohup ignore some signals, and processes inherit that.
    """
    ignored = [number for number in numbers if signal.getsignal(number) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)
