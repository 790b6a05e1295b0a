"""The supervisor: every job has an end, an error of one executor stops no other, and stop leaves nothing."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from local_aws.jobs.processes import JobProcess, Spec, marked
from local_aws.jobs.supervisor import Stopping, Supervisor
from local_aws.resources import Resource, ResourceTable
from tests.support.waiting import wait_until


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    made = Supervisor(ResourceTable(tmp_path / "jobs.sqlite"), tmp_path)
    yield made
    if not made.stopping.is_set():
        made.stop()


@pytest.fixture
def sleeper(supervisor: Supervisor, tmp_path: Path) -> Callable[[str], JobProcess]:
    """Start a process of a job of the kind ``job``."""

    def start(name: str) -> JobProcess:
        code = "import time; time.sleep(600)"
        marker = supervisor.job_marker("job", name, 1)
        spec = Spec([sys.executable, "-c", code], {"PATH": ""}, str(tmp_path), marker)
        return JobProcess.start(spec, tmp_path / name)

    return start


class Executor:
    """An executor that counts what it is asked for, and may fail at each tick."""

    def __init__(self, error: Exception | None = None) -> None:
        self.adopted = self.ticks = self.stopped = 0
        self._error = error

    def adopt(self) -> None:
        self.adopted += 1

    def tick(self) -> None:
        self.ticks += 1
        if self._error:
            raise self._error

    def stop(self) -> None:
        self.stopped += 1


def test_a_job_that_ends_by_an_error_has_no_processes_left_and_is_told_why(
    supervisor: Supervisor, sleeper: Callable[[str], JobProcess]
) -> None:
    mine, other = sleeper("broken"), sleeper("brok")
    told: list[tuple[str, str]] = []

    def work(name: str) -> None:
        raise ValueError(f"no {name}")

    supervisor.run_job("job", "broken", work, lambda *failure: told.append(failure))
    wait_until(lambda: told)
    assert told == [("broken", "ValueError: no broken")]
    assert not mine.alive() and other.alive()


def test_a_job_that_the_stop_interrupts_has_not_failed(supervisor: Supervisor) -> None:
    told: list[Any] = []
    ended: list[str] = []

    def work(name: str) -> None:
        try:
            supervisor.pause(600)
        except Stopping:
            ended.append(name)
            raise

    supervisor.run_job("job", "long", work, lambda *failure: told.append(failure))
    supervisor.stop()
    assert ended == ["long"] and told == []


def test_an_executor_that_fails_keeps_ticking_and_stops_no_other(supervisor: Supervisor) -> None:
    both = [Executor(ValueError("no")), Executor()]
    supervisor.executors = [*both]
    supervisor.start()
    wait_until(lambda: [one.ticks > 2 for one in both], all)
    supervisor.stop()
    ticks = [one.ticks for one in both]
    assert [(one.adopted, one.stopped) for one in both] == [(1, 1), (1, 1)]
    assert abs(ticks[0] - ticks[1]) <= 1


def test_the_start_ends_processes_that_no_row_names_and_keeps_the_others(
    supervisor: Supervisor, sleeper: Callable[[str], JobProcess]
) -> None:
    known, unknown = sleeper("known"), sleeper("unknown")
    supervisor.table.insert(Resource("job", "known", "RUNNING", processes=[known.row()]))
    supervisor.start()
    assert known.alive() and not unknown.alive()


def test_nothing_is_left_after_the_stop(supervisor: Supervisor, sleeper: Callable[[str], JobProcess]) -> None:
    sleeper("a")
    supervisor.start()
    supervisor.stop()
    assert not marked(supervisor.marker)
    with pytest.raises(Stopping):
        supervisor.pause(600)
    with pytest.raises(sqlite3.ProgrammingError):
        supervisor.table.list("job")
