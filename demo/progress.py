"""Show live progress: the phase that runs, its progress and its duration.

On a terminal this is a table that redraws itself; elsewhere it is one line for each change.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table

#: A progress line on a job's stdout, e.g. ``progress: near_dedup 40/120 documents``.
_LINE = re.compile(r"^progress: (?P<stage>[\w -]+?) (?P<done>\d+)/(?P<total>\d+) (?P<unit>\w+)", re.MULTILINE)
_TAIL_BYTES = 16_384


@dataclass(frozen=True)
class JobProgress:
    """The progress that a running job reports."""

    stage: str
    done: int
    total: int
    unit: str

    def __str__(self) -> str:
        return f"{self.stage} {self.done:,} / {self.total:,} {self.unit}"


def last_progress(log: Path) -> JobProgress | None:
    """Return the newest progress line of a job's output, or None if there is none."""
    with log.open("rb") as source:
        source.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        matches = list(_LINE.finditer(source.read().decode(errors="replace")))
    if not matches:
        return None
    last = matches[-1]
    return JobProgress(last["stage"], int(last["done"]), int(last["total"]), last["unit"])


def running_logs(job_folder: Path, since: float) -> Iterator[Path]:
    """Yield the output files of the jobs that run: stdout of EMR steps, output of containers.

    :param job_folder: the folder in which local_aws keeps the output of jobs
    :param since: files that were written before this time are left out, in seconds since 1970
    """
    for name in ("stdout", "output.log"):
        for log in job_folder.rglob(name):
            # local_aws writes the exit status next to the output of a process that has ended
            if log.stat().st_mtime > since and not (log.parent / "exit.json").exists():
                yield log


class Display:
    """A display of the demo's phases, each with its state and elapsed time."""

    def __init__(self, phases: tuple[str, ...], console: Console | None = None) -> None:
        self._console = console or Console()
        self._phases = phases
        self._started: dict[str, float] = {}
        self._ended: dict[str, float] = {}
        self._notes: dict[str, str] = {}
        self._failed: set[str] = set()
        self._live: Live | None = None

    def __enter__(self) -> Display:
        if self._console.is_terminal:
            self._live = Live(console=self._console, refresh_per_second=4, get_renderable=self._table)
            self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.__exit__(None, None, None)
            self._live = None

    def begin(self, phase: str, note: str = "") -> None:
        """Show that a phase starts."""
        self._started[phase] = time.monotonic()
        self.note(phase, note or "started")

    def note(self, phase: str, text: str) -> None:
        """Show the current activity of a phase. Without a terminal, print it once per change."""
        if self._notes.get(phase) == text:
            return
        self._notes[phase] = text
        if not self._live:
            number = self._phases.index(phase) + 1
            line = f"[{number}/{len(self._phases)} {phase}] {self._elapsed(phase):5.0f} s  {text}"
            # one call, because two threads write: print() writes the end of the line by itself
            self._console.file.write(f"{line}\n")
            self._console.file.flush()

    def end(self, phase: str, text: str) -> None:
        """Show that a phase has succeeded."""
        self._ended[phase] = time.monotonic()
        self.note(phase, text)

    def refuse(self, phase: str, text: str) -> None:
        """Show that a phase ended with a refusal."""
        self._failed.add(phase)
        self.end(phase, text)

    def seconds(self) -> dict[str, float]:
        """Return the elapsed seconds of each phase that has ended."""
        return {phase: round(self._ended[phase] - self._started[phase], 1) for phase in self._ended}

    def _elapsed(self, phase: str) -> float:
        if phase not in self._started:
            return 0.0
        return self._ended.get(phase, time.monotonic()) - self._started[phase]

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for number, phase in enumerate(self._phases, start=1):
            if phase in self._failed:
                mark, style = "✗", "red"
            elif phase in self._ended:
                mark, style = "✓", "green"
            elif phase in self._started:
                mark, style = "▸", "bold cyan"
            else:
                mark, style = " ", "dim"
            elapsed = f"{self._elapsed(phase):.0f} s" if phase in self._started else ""
            counter = f"{number}/{len(self._phases)}"
            table.add_row(mark, counter, phase, elapsed, self._notes.get(phase, ""), style=style)
        return table


def fail(message: str) -> None:
    """Print an error to stderr."""
    print(f"\nerror: {message}", file=sys.stderr)
