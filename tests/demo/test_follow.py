"""A demo follows the runs that its own assets triggered, shows their progress, and reports their failures."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from demo import follow
from demo.airflow_api import AirflowApi
from demo.follow import FinishedRun, Follower, RunFailed
from demo.progress import Display

SOURCE = FinishedRun("corpus_refresh", "mine")
SINCE = datetime(2026, 11, 1, tzinfo=UTC)


class Airflow(AirflowApi):
    """An Airflow whose run goes through the given states, one a second."""

    def __init__(self, states: list[str], tasks: dict[str, str]) -> None:
        self.now = 0.0
        self.states = states
        self.tasks = tasks
        self.sources: dict[str, set[str]] = {}

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def run_state(self, dag_id: str, run_id: str) -> str:
        return self.states[min(int(self.now), len(self.states) - 1)]

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        return [{"task_id": name, "state": state, "try_number": 2} for name, state in self.tasks.items()]

    def failure(self, dag_id: str, run_id: str, task_id: str, try_number: int) -> str:
        return f"{task_id} says no"

    def runs_since(self, dag_id: str, since: datetime) -> list[dict[str, Any]]:
        return [{"dag_run_id": run_id} for run_id in self.sources]

    def source_runs(self, dag_id: str, run_id: str) -> set[str]:
        return self.sources[run_id]


class Watched:
    """A follower, its Airflow, and the lines that it shows."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, logs: list[Path]) -> None:
        self.airflow = Airflow(["success"], {})
        self._sink = io.StringIO()
        display = Display(("corpus", "training"), Console(file=self._sink))
        self.follower = Follower(self.airflow, display, lambda: iter(logs))
        clock = SimpleNamespace(monotonic=lambda: self.airflow.now, sleep=self.airflow.sleep)
        monkeypatch.setattr(follow, "time", clock)

    @property
    def notes(self) -> list[str]:
        return [line.split(" s  ", 1)[1] for line in self._sink.getvalue().splitlines()]


@pytest.fixture
def logs() -> list[Path]:
    return []


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch, logs: list[Path]) -> Iterator[Watched]:
    yield Watched(monkeypatch, logs)


def test_a_run_is_waited_for_with_its_tasks_and_the_progress_of_its_jobs(
    watched: Watched, logs: list[Path], tmp_path: Path
) -> None:
    for name, text in {
        "one": "progress: read 1/8 shards\n",
        "silent": "",
        "two": "progress: sort 2/4 parts\n",
    }.items():
        (tmp_path / name).write_text(text)
        logs.append(tmp_path / name)
    watched.airflow.states = ["queued", "running", "success"]
    watched.airflow.tasks = {
        "plan": "success", "skip": "skipped", "clean": "deferred", "sort": "running", "end": "queued",
        "again": "restarting",
    }  # fmt: skip
    assert watched.follower.finish("corpus", "mine") == FinishedRun("corpus_refresh", "mine")
    assert watched.airflow.now == 2.0
    assert watched.notes == ["task 2 / 6  clean, sort, again  read 1 / 8 shards; sort 2 / 4 parts"]


def test_a_failed_run_names_its_failed_tasks(watched: Watched) -> None:
    watched.airflow.states = ["failed"]
    watched.airflow.tasks = {"plan": "success", "clean": "failed", "sort": "failed", "end": "upstream_failed"}
    with pytest.raises(RunFailed) as failure:
        watched.follower.finish("corpus", "mine")
    assert "clean failed (try 2): clean says no; sort failed (try 2): sort says no" in str(failure.value)
    assert "corpus_refresh mine" in str(failure.value)
    assert "end failed" not in str(failure.value)


def test_a_run_that_failed_without_a_failed_task_says_so(watched: Watched) -> None:
    watched.airflow.states = ["failed"]
    with pytest.raises(RunFailed, match="none of its tasks did"):
        watched.follower.finish("corpus", "mine")


def test_only_the_run_that_our_asset_triggered_is_followed(watched: Watched) -> None:
    watched.airflow.sources = {"a": {"another"}, "b": {"other", "mine"}, "c": {"mine"}}
    assert watched.follower.triggered_by_asset("training", SOURCE, SINCE) == "b"
    assert watched.airflow.now == 0.0


def test_an_asset_that_triggers_nothing_is_an_error_after_the_limit(watched: Watched) -> None:
    watched.airflow.sources = {"a": {"another"}}
    with pytest.raises(RunFailed, match=r"model_training.*90 s"):
        watched.follower.triggered_by_asset("training", SOURCE, SINCE)
    assert watched.airflow.now == 90.0
