"""The peak memory of a demo counts its processes and their descendants, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.memory import MemoryWatch, tree_bytes
from tests.support.waiting import wait_until

MEBIBYTE = 2**20
_HOLD = "import sys, time; held = bytearray(b'x' * (64 << 20)); print(len(held), flush=True); time.sleep(600)"


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[str]]:
    """A process of a few MiB with a child that holds 64 MiB."""
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {_HOLD!r}])"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        for pid in children(process.pid):
            os.kill(pid, 9)
        process.kill()


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_descendants_are_counted_in_bytes(parent: subprocess.Popen[str]) -> None:
    assert 64 * MEBIBYTE < tree_bytes({parent.pid}) < 128 * MEBIBYTE


def test_a_process_below_two_roots_is_counted_once(parent: subprocess.Popen[str]) -> None:
    assert tree_bytes({parent.pid, *children(parent.pid)}) < 128 * MEBIBYTE


def test_the_parent_of_a_root_is_not_counted(parent: subprocess.Popen[str]) -> None:
    (child,) = children(parent.pid)
    both, one = tree_bytes({parent.pid}), tree_bytes({child})
    assert 64 * MEBIBYTE < one < both


def test_processes_outside_the_roots_are_not_counted() -> None:
    assert tree_bytes(set()) == 0
    assert tree_bytes({2**22 + 1}) == 0  # larger than any pid


def test_the_watch_keeps_the_largest_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = [5, 9, 3]
    asked: list[set[int]] = []

    def sample(roots: set[int]) -> int:
        asked.append(roots)
        return samples[min(len(asked), len(samples)) - 1]

    monkeypatch.setattr("demo.memory.tree_bytes", sample)
    with MemoryWatch(lambda: [1, 2, 2], interval_seconds=0.01) as watch:
        wait_until(lambda: len(asked) >= len(samples))
    assert watch.peak_bytes == 9
    assert asked[0] == {1, 2}
