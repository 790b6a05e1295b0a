"""The executor of job runs on its own: time limits and runs that cannot be started."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local_aws.front_door.control import Control
from local_aws.images import ImageMap, SparkRuntime
from local_aws.jobs.supervisor import Supervisor
from local_aws.resources import Resource, ResourceTable
from local_aws.settings import LocalAwsSettings
from local_aws.spark.process import SparkProcesses
from local_aws.spark.runs import JobRuns, RunStates
from tests.support.waiting import wait_until


class Service:
    """Runs the command of the request, for at most its seconds."""

    kind = "run"
    states = RunStates(("WAITING",), "RUNNING", "STOPPING", "STOPPED", "SUCCEEDED", "FAILED", "TIMEOUT")

    def __init__(self) -> None:
        self.log: list[str] = []

    def may_start(self, run: Resource) -> bool:
        return not run.request.get("held")

    def arguments(self, run: Resource) -> list[str]:
        return list(run.request["command"])

    def role(self, run: Resource) -> str:
        return "arn:aws:iam::123456789012:role/test"

    def timeout_seconds(self, run: Resource) -> float:
        return float(run.request.get("seconds", math.inf))

    def started(self, run: Resource) -> None:
        self.log.append("started")

    def ended(self, run: Resource) -> None:
        self.log.append(f"ended {run.state}")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Any]:
    settings = LocalAwsSettings(tmp_path, 1, Control())
    table = ResourceTable(tmp_path / "jobs.sqlite")
    supervisor = Supervisor(table, tmp_path)
    images = ImageMap((), SparkRuntime(tmp_path, (), "local[1]", "1g"))
    service = Service()
    runs = JobRuns(service, settings, supervisor, SparkProcesses("run", settings, supervisor, images))
    supervisor.executors.append(runs)
    supervisor.start()

    def state(name: str, **request: Any) -> Resource:
        if request:
            table.insert(Resource("run", name, "WAITING", request))
        found = table.get("run", name)
        assert found
        return found

    yield state, runs, service
    supervisor.stop()


def ended(run: Resource) -> bool:
    return run.state not in Service.states.active


def test_the_final_state_shows_only_when_everything_is_shipped(world: Any) -> None:
    state, _, service = world
    state("a", command=["true"])
    assert wait_until(lambda: state("a"), ended).state == "SUCCEEDED"
    assert service.log == ["started", "ended RUNNING"]


def test_a_run_that_outlasts_its_limit_is_ended(world: Any) -> None:
    state, *_ = world
    state("a", command=["sleep", "60"], seconds=0.3)
    run = wait_until(lambda: state("a"), ended)
    assert (run.state, run.detail["reason"]) == ("TIMEOUT", "The job ran longer than its limit of 0 s")


def test_a_run_that_waits_is_stopped_before_it_begins(world: Any) -> None:
    state, runs, service = world
    state("a", command=["true"], held=True)
    assert runs.request_stop("a")
    assert state("a").state == "STOPPED" and not service.log
    assert not runs.request_stop("a")


def test_a_run_that_cannot_be_started_fails_with_the_reason(world: Any) -> None:
    state, *_ = world
    state("a", command=["spark-submit", "main.py"])
    run = wait_until(lambda: state("a"), ended)
    assert run.state == "FAILED" and run.detail["reason"].startswith("FileNotFoundError")
