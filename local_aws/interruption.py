"""Turns SIGTERM and SIGHUP into KeyboardInterrupt, so that a command can end the processes it started.

Processes in separate sessions do not receive the signals of the terminal. The command that starts such
processes must end them itself, also if its terminal is closed or make receives SIGTERM.
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
#: A closed terminal sends SIGHUP twice, by the kernel and by its shell, and users often press ^C twice.
_REPEAT_SECONDS = 5.0
_CHILD_GRACE_SECONDS = 20.0


@dataclass
class _Interruption:
    """The pending interruption. ``holders`` counts the open ``uninterrupted`` blocks."""

    holders: int = 0
    waiting: bool = False
    raised_at: float = float("-inf")

    def come(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal. Python calls this in the main thread."""
        if time.monotonic() - self.raised_at < _REPEAT_SECONDS:
            return
        if self.holders:
            self.waiting = True
            return
        self.raised_at = time.monotonic()
        raise KeyboardInterrupt

    def go_on(self) -> None:
        """Raise KeyboardInterrupt if a signal arrived inside the last ``uninterrupted`` block."""
        if self.waiting and not self.holders:
            self.waiting = False
            self.raised_at = time.monotonic()
            raise KeyboardInterrupt


_interruption = _Interruption()


@contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise KeyboardInterrupt in the block, as ^C does.

    Further signals within a few seconds are ignored. Use it in the main thread. A signal that the
    caller of the command ignores (nohup) stays ignored.
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
    """Delay KeyboardInterrupt until the end of the block."""
    _interruption.holders += 1
    try:
        yield
    finally:
        _interruption.holders -= 1
    _interruption.go_on()


@contextmanager
def child(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Start a process and end it at the end of the block. Piped output is text."""
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
