"""Measure deduplication as whole processes, one after the other on the same shards (`make bench-dedup`).

python -m benchmarks.corpus.dedup --input SHARDS --output FOLDER [--peer "COMMAND"] [-- OPTIONS]

The first process is ours: ``build_corpus`` up to near dedup, with OPTIONS. The second is Spark alone, which
reads the JSON and writes Parquet. The third is the peer, called as ``COMMAND SHARDS FOLDER-peer``, if one is
given. Prints a table and one JSON line: that of ``build_corpus``, with the seconds, the processor time, the
peak memory and the last JSON line of each process.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import resource
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.memory import MemoryWatch, parents_of_processes

_SAMPLE_SECONDS = 0.5
_PR_SET_CHILD_SUBREAPER = 36
#: Processes that a command leaves behind are waited for at most this long.
_ORPHAN_SECONDS = 10.0


@dataclass(frozen=True)
class Measured:
    """One process: wall time, peak proportional set size of its process tree, and its last line of JSON.

    ``cpu_seconds`` is the processor time of the process and of all that it started, which other work on the
    machine changes less than the wall time.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    said: dict[str, Any]

    @property
    def plain(self) -> dict[str, Any]:
        """Return the figures for the JSON line."""
        times = {"process_seconds": round(self.seconds, 2), "cpu_seconds": round(self.cpu_seconds, 2)}
        return {**times, "peak_bytes": self.peak_bytes}


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 if every process succeeded."""
    parser = argparse.ArgumentParser(prog="benchmarks.corpus.dedup", description=__doc__)
    parser.add_argument("--input", required=True)
    parser.add_argument("--output", required=True, type=Path)
    parser.add_argument("--peer", default="", help="command of another deduplicator")
    parser.add_argument("options", nargs="*", help="options of build_corpus, after --")
    arguments = parser.parse_args(argv)
    shards, output = arguments.input, str(arguments.output)
    module = [sys.executable, "-m"]
    options = ["--input", shards, "--output"]
    corpus = [*module, "spark_jobs.jobs.build_corpus", *options, output, "--until", "near_dedup"]
    try:
        ours = measure([*corpus, *arguments.options])
        spark = measure([*module, "benchmarks.corpus.spark_alone", *options, f"{output}-spark"])
        peer = measure([*shlex.split(arguments.peer), shards, f"{output}-peer"]) if arguments.peer else None
    except subprocess.CalledProcessError as error:
        print(f"bench-dedup: ended {error.returncode}: {shlex.join(error.cmd)}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(f"{output}-spark", ignore_errors=True)
    others = {"spark_alone": spark} | ({"peer": peer} if peer else {})
    print(table(ours, others))
    print(json.dumps(line(ours, others), sort_keys=True))
    return 0


def measure(command: Sequence[str]) -> Measured:
    """Run a command and show its output. Raises CalledProcessError if it fails."""
    _adopt_orphans()
    started, cpu_before, earlier = time.monotonic(), _cpu_of_children(), _children()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        with MemoryWatch(lambda: [process.pid], _SAMPLE_SECONDS) as watch:
            assert process.stdout
            said: dict[str, Any] = {}
            for printed in process.stdout:
                sys.stdout.write(printed)
                said = _json_object(printed) or said
            code = process.wait()
        seconds = time.monotonic() - started
    if code:
        raise subprocess.CalledProcessError(code, list(command))
    _wait_for(earlier)
    return Measured(seconds, _cpu_of_children() - cpu_before, watch.peak_bytes, said)


def _adopt_orphans() -> None:
    """Make this process the parent of descendants whose parent ends.

    A JVM and the workers of a forkserver are not waited for by the process that started them, so that their
    processor time would not be counted.
    """
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _wait_for(earlier: set[int]) -> None:
    """Wait for the children that did not exist ``earlier``: the adopted ones."""
    deadline = time.monotonic() + _ORPHAN_SECONDS
    while (left := _children() - earlier) and time.monotonic() < deadline:
        for pid in left:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        time.sleep(0.02)


def _children() -> set[int]:
    return {pid for pid, parent in parents_of_processes().items() if parent == os.getpid()}


def _cpu_of_children() -> float:
    """Return the processor time of all child processes that have ended, with their descendants."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def line(ours: Measured, others: dict[str, Measured]) -> dict[str, Any]:
    """Return the JSON line: the figures of build_corpus and how they compare."""
    compared = {
        name: {**other.said, **other.plain, "ratio": round(other.seconds / ours.seconds, 2)}
        for name, other in others.items()
    }
    return {**ours.said, **ours.plain, **compared}


def table(ours: Measured, others: dict[str, Measured]) -> str:
    """Return a table with a row per process; the last column is its time divided by ours."""
    rows = [f"{'':<12}{'seconds':>10}{'CPU s':>10}{'peak GiB':>10}{'times ours':>12}"]
    for name, one in {"ours": ours, **others}.items():
        peak = one.peak_bytes / 2**30
        figures = f"{one.seconds:>10.1f}{one.cpu_seconds:>10.1f}{peak:>10.2f}"
        rows.append(f"{name:<12}{figures}{one.seconds / ours.seconds:>12.2f}")
    return "\n".join(rows)


def _json_object(printed: str) -> dict[str, Any] | None:
    try:
        said = json.loads(printed)
    except ValueError:
        return None
    return said if isinstance(said, dict) else None


if __name__ == "__main__":
    raise SystemExit(main())
