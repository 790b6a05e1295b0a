"""The reason that a failed Spark process gives: the last lines of its output without Spark's own."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from local_aws.jobs.processes import Exit
from local_aws.spark.process import SparkProcesses


@pytest.fixture
def processes(tmp_path: Path) -> SparkProcesses:
    given: Any = SimpleNamespace(state=tmp_path, emr=None)
    (tmp_path / "kind/run").mkdir(parents=True)
    return SparkProcesses("kind", given, given, given)


def test_the_last_twelve_lines_of_stderr_are_shown_without_those_of_spark(
    processes: SparkProcesses,
) -> None:
    lines = [f"line {n}\n12:00:00 INFO TaskSetManager: {n}" for n in range(30)]
    (processes.folder("run") / "stderr").write_text("\n".join(lines))
    (processes.folder("run") / "output.log").write_text("not this")
    what, tail = processes.reason("run", Exit(3, 0, 0.0))
    assert what == "exited with code 3"
    assert tail.splitlines() == [f"line {n}" for n in range(18, 30)]


def test_a_long_line_is_cut_to_its_end_and_the_log_is_shown_if_stderr_is_empty(
    processes: SparkProcesses,
) -> None:
    (processes.folder("run") / "stderr").write_text("")
    (processes.folder("run") / "output.log").write_text("a" * 9000 + "b" * 999)
    what, tail = processes.reason("run", Exit(-1, 0, 0.0))
    assert what == "vanished without an exit status"
    assert tail == "a" + "b" * 999
    assert processes.reason("never", Exit(1, 0, 0.0))[1] == ""
