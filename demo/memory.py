"""Measure the peak memory of all processes of a demo."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path


class MemoryWatch:
    """A thread that samples the proportional set size (shared pages counted once) of process trees.

    ``roots`` returns the pids to look at in each sample; descendants are found by session or parent.
    """

    def __init__(self, roots: Callable[[], Iterable[int]], interval_seconds: float = 2.0) -> None:
        self._roots = roots
        self._interval_seconds = interval_seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.peak_bytes = 0

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._interval_seconds):
            self.peak_bytes = max(self.peak_bytes, tree_bytes(set(self._roots())))


def parents_of_processes() -> dict[int, int]:
    """Return the parent of every process of this machine, by pid."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
    return parents


def tree_bytes(roots: set[int]) -> int:
    """Return the PSS in bytes of the processes in ``roots`` and of all their descendants."""
    parents = parents_of_processes()
    return sum(_pss(pid) for pid in parents if _descends(pid, roots, parents))


def _descends(pid: int, roots: set[int], parents: dict[int, int]) -> bool:
    while pid > 1:
        if pid in roots:
            return True
        pid = parents.get(pid, 0)
    return False


def _pss(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0
