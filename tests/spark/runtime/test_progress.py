"""Progress of a stage: its first and last line, and what ran in between, each number once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from spark_jobs.runtime import progress
from spark_jobs.runtime.progress import run_tasks, warn
from tests.support.waiting import wait_until


class Context:
    """A Spark context whose tracker gives one answer after another, and which computes in this process."""

    def __init__(self, answers: list[dict[int, int]]) -> None:
        self.answers = answers
        self.asked = 0
        self.groups: list[tuple[str, str]] = []
        self.slices = 0

    def setJobGroup(self, name: str, description: str) -> None:  # noqa: N802
        self.groups.append((name, description))

    def statusTracker(self) -> Context:  # noqa: N802
        return self

    def getJobIdsForGroup(self, name: str) -> list[int]:  # noqa: N802
        assert name == self.groups[0][0]
        self.asked += 1
        return [1, 2, 3]

    def getJobInfo(self, job: int) -> Any:  # noqa: N802
        states = {1: "SUCCEEDED", 2: "RUNNING"}
        return (
            SimpleNamespace(status=states[job], stageIds=[10 * job, 10 * job + 1]) if job in states else None
        )

    def getStageInfo(self, stage: int) -> Any:  # noqa: N802
        done = self.answers[min(self.asked, len(self.answers)) - 1].get(stage)
        return None if done is None else SimpleNamespace(numCompletedTasks=done)

    def parallelize(self, items: list[Any], slices: int) -> Context:
        self.slices = slices
        self._items = items
        return self

    def map(self, function: Any) -> Context:
        self._items = [function(item) for item in self._items]
        return self

    def collect(self) -> list[Any]:
        wait_until(lambda: self.asked > len(self.answers))
        return self._items


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(progress, "_POLL_SECONDS", 0.01)
    yield


@pytest.mark.usefixtures("fast")
def test_only_tasks_of_running_jobs_are_counted_and_only_growth_is_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    # 10 and 11 are stages of an ended job; 21 is not known at first
    context = Context([{10: 4, 20: 1}, {20: 1, 21: 0}, {20: 2, 21: 1}, {20: 1}, {20: 3, 21: 1, 11: 9}])
    spark: Any = SimpleNamespace(sparkContext=context)
    assert run_tasks(spark, "sort", "parts", lambda item: item * 2, [1, 2, 3, 4]) == [2, 4, 6, 8]
    assert capsys.readouterr().out.splitlines() == [
        "progress: sort 0/4 parts",
        "progress: sort 1/4 parts",
        "progress: sort 3/4 parts",
        "progress: sort 4/4 parts",
    ]
    assert context.groups == [("sort parts", "sort: 4 parts"), ("", "")]
    assert context.slices == 4  # a task for each item


def test_nothing_to_do_starts_no_task_and_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_tasks(None, "sort", "parts", str, []) == []  # type: ignore[arg-type]
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("fast")
def test_a_failed_stage_is_not_shown_as_done(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(_: int) -> None:
        raise ValueError("no")

    context = Context([{}])
    spark: Any = SimpleNamespace(sparkContext=context)
    with pytest.raises(ValueError, match="no"):
        run_tasks(spark, "sort", "parts", fail, [1])
    assert capsys.readouterr().out == "progress: sort 0/1 parts\n"
    assert context.groups[-1] == ("", "")


def test_a_warning_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    warn("the disk is nearly full")
    assert capsys.readouterr().out == "warning: the disk is nearly full\n"


@pytest.mark.parametrize("call", ["report('sort', 1, 2, 'parts')", "warn('the disk is nearly full')"])
def test_a_line_is_in_the_log_before_the_process_goes_on(call: str) -> None:
    killed = f"import os; from spark_jobs.runtime.progress import *; {call}; os._exit(9)"
    found = subprocess.run([sys.executable, "-c", killed], capture_output=True, text=True, check=False)
    assert found.stdout in ("progress: sort 1/2 parts\n", "warning: the disk is nearly full\n")
