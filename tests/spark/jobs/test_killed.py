"""kill -9 of the driver, its JVM or a Python worker at random moments: the next run ends with the same bytes.

NEXUS_KILLS says at how many moments; ``make kill-corpus`` takes 20. NEXUS_KILL_SEED chooses them again.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from include.contracts.manifests import CorpusManifest
from include.contracts.records import content_hash, parse_json

if TYPE_CHECKING:
    from tests.spark.conftest import Known

KILLS = int(os.environ.get("NEXUS_KILLS", "3"))
SEED = int(os.environ.get("NEXUS_KILL_SEED", time.time_ns() % 1_000_000))
VICTIMS = ("driver", "jvm", "worker")


class BuildProcess:
    """build_corpus in a process of its own, with everything that it starts in one session."""

    def __init__(self, request: str) -> None:
        command = [sys.executable, "-m", "spark_jobs.jobs.build_corpus", "--request", request]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        self.output: list[str] = []

    def until_it_works(self) -> float:
        """Wait for the first line of progress. Return its time by the monotonic clock."""
        assert self.process.stdout
        for line in self.process.stdout:
            self.output.append(line)
            if line.startswith("progress: "):
                return time.monotonic()
        raise AssertionError("".join(self.output))

    def finish(self) -> int:
        assert self.process.stdout
        self.output += list(self.process.stdout)
        return self.process.wait()

    def pids(self, victim: str) -> list[int]:
        """Return the processes of this run that play the part ``victim``."""
        return [pid for pid in _session(self.process.pid) if _part(pid, self.process.pid) == victim]


def _session(session: int) -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(ProcessLookupError):
                if os.getsid(int(entry.name)) == session:
                    yield int(entry.name)


def _part(pid: int, driver: int) -> str:
    if pid == driver:
        return "driver"
    try:
        command = Path(f"/proc/{pid}/cmdline").read_text()
        parent = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        if "pyspark.daemon" in command and "pyspark.daemon" in Path(f"/proc/{parent}/cmdline").read_text():
            return "worker"
    except (OSError, IndexError):
        return "gone"
    return "jvm" if "java" in command.split("\0")[0] else "other"


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def content(root: Path) -> dict[str, str]:
    """Hashes of what lies on the disk; empty for a file that names its folder or its time."""
    found = {
        str(path.relative_to(root)): "" if _tells_of_the_run(path, root) else content_hash(path.read_bytes())
        for path in root.rglob("*")
        if path.is_file() and path.relative_to(root).parts[0] != "work"
    }
    manifest = parse_json(CorpusManifest, (root / "manifest.json").read_bytes(), where="manifest")
    listed = {entry.path: entry.sha256 for entry in manifest.files}
    assert listed == {path: sha for path, sha in found.items() if sha}
    return found


def _tells_of_the_run(path: Path, root: Path) -> bool:
    return path.parent == root or path.parent == root / "stages"


@pytest.fixture(scope="module")
def undisturbed(
    known: Known, tmp_path_factory: pytest.TempPathFactory, make_request: Callable[..., str]
) -> tuple[dict[str, str], float]:
    """The files of a run that nobody kills, and the seconds that it worked."""
    root = tmp_path_factory.mktemp("undisturbed")
    run = BuildProcess(make_request(root, known.shards))
    started = run.until_it_works()
    assert run.finish() == 0, "".join(run.output)
    return content(root), time.monotonic() - started


@pytest.mark.parametrize("moment", range(KILLS))
def test_a_run_that_was_killed_is_ended_by_the_next_with_the_same_bytes(
    moment: int,
    undisturbed: tuple[dict[str, str], float],
    known: Known,
    tmp_path: Path,
    make_request: Callable[..., Any],
) -> None:
    expected, seconds = undisturbed
    at = random.Random(SEED + moment).uniform(0, seconds)
    victim = VICTIMS[moment % len(VICTIMS)]
    while not killed(make_request(tmp_path, known.shards), victim, at):
        at /= 2  # this run was over before
        shutil.rmtree(tmp_path)
    print(f"{victim} killed {at:.1f} s of {seconds:.1f} s after the first task (NEXUS_KILL_SEED={SEED})")
    # a dead driver's successor starts at once: what the dead one left behind may still be writing
    again = BuildProcess(make_request(tmp_path, known.shards))
    assert again.finish() == 0, "".join(again.output)
    assert content(tmp_path) == expected


def killed(request: str, victim: str, after_seconds: float) -> bool:
    """Start a run and kill a part of it so long after its first task; False when it ended before."""
    run = BuildProcess(request)
    time.sleep(max(0.0, run.until_it_works() + after_seconds - time.monotonic()))
    while run.process.poll() is None:
        if pids := run.pids(victim):
            _kill(pids[0])
            if victim == "worker":
                run.finish()
            return True
        time.sleep(0.01)  # a worker lives only while a task runs
    return False
