"""SIGTERM and SIGHUP end a command as ^C does: by an exception, so that it ends what it started.

No signal reaches processes in sessions of their own; a command that starts such has to end them itself,
also when its terminal is closed or make is told to end.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

#: The exit status of a command that was interrupted, as shells count ^C.
INTERRUPTED = 130
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: A closed terminal hangs up twice, by the kernel and by its shell, and a user's second ^C comes soon.
_SAME_WISH_SECONDS = 5.0
_CHILD_GRACE_SECONDS = 20.0


@dataclass
class _Interruption:
    """What signals have come; ``holders`` counts the blocks that must not be left half done."""

    holders: int = 0
    waiting: bool = False
    raised_at: float = float("-inf")

    def come(self, number: int, frame: FrameType | None) -> None:
        """The signal handler; Python calls it in the main thread."""
        if time.monotonic() - self.raised_at < _SAME_WISH_SECONDS:
            return
        if self.holders:
            self.waiting = True
            return
        self.raised_at = time.monotonic()
        raise KeyboardInterrupt

    def go_on(self) -> None:
        """Raise what had to wait."""
        if self.waiting and not self.holders:
            self.waiting = False
            self.raised_at = time.monotonic()
            raise KeyboardInterrupt


_interruption = _Interruption()


@contextmanager
def interruptible() -> Iterator[None]:
    """Within, SIGTERM and SIGHUP raise KeyboardInterrupt as ^C does; repeats of one wish count once.

    For the main thread. A signal that the caller of the command ignores (nohup) stays ignored.
    """
    former = {number: signal.getsignal(number) for number in _SIGNALS}
    for number, handler in former.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, _interruption.come)
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
        _interruption.waiting, _interruption.raised_at = False, float("-inf")


@contextmanager
def uninterrupted() -> Iterator[None]:
    """What is begun within is finished: an interruption waits for the end of the block."""
    _interruption.holders += 1
    try:
        yield
    finally:
        _interruption.holders -= 1
    _interruption.go_on()


@contextmanager
def child(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A process that does not outlive the block; its output, if piped, is text."""
    process: subprocess.Popen[str] | None = None
    try:
        with uninterrupted():
            process = subprocess.Popen(command, text=True, **options)
        yield process
    finally:
        if process is not None:
            with uninterrupted():
                _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    with process:  # closes its pipes
        process.terminate()
        try:
            process.wait(_CHILD_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
