"""The soak test triggers at its interval, and fails for every kind of fault that it looks for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from demo import soak
from local_stack.config import StackConfig


class Airflow:
    """An Airflow whose runs and tasks are given, and a clock that only sleeping moves."""

    def __init__(self, run_state: str, task_state: str) -> None:
        self.now = 1000.0
        self.triggered: list[float] = []
        self._states = run_state, task_state

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def trigger(self, dag_id: str, conf: dict[str, Any]) -> str:
        assert dag_id == "corpus_refresh"
        assert conf == {"source_uri": "s3://raw/pile/", "continue_downstream": True}
        self.triggered.append(self.now - 1000.0)
        return f"run-{len(self.triggered)}"

    def runs_since(self, dag_id: str, since: object) -> list[dict[str, str]]:
        if dag_id != "corpus_refresh":
            return []
        return [
            {"dag_run_id": f"{number}", "state": self._states[0]} for number in range(len(self.triggered))
        ]

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, str]]:
        return [{"dag_id": dag_id, "task_id": "plan", "state": self._states[1]}]


Soak = Callable[..., tuple[int, dict[str, Any], Airflow]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Soak:
    def soaked(run_state: str = "success", task_state: str = "success", log: str = "fine") -> Any:
        (tmp_path / "scheduler.log").write_text(f"{log}\n")
        airflow = Airflow(run_state, task_state)
        config = SimpleNamespace(airflow_url="http://127.0.0.1:1", logs=tmp_path)
        monkeypatch.setattr(StackConfig, "from_environment", lambda: config)
        monkeypatch.setattr(soak, "AirflowApi", lambda url: airflow)
        monkeypatch.setattr(soak, "choose_shards", lambda *_: SimpleNamespace(source_uri="s3://raw/pile/"))
        monkeypatch.setattr(soak, "upload", lambda *_: None)
        monkeypatch.setattr(soak, "object_store", lambda _: None)
        monkeypatch.setattr(soak, "time", SimpleNamespace(monotonic=lambda: airflow.now, sleep=airflow.sleep))
        code = soak.main(["--minutes", "5", "--every-seconds", "100"])
        return code, json.loads(capsys.readouterr().out.splitlines()[-1]), airflow

    return soaked


def test_runs_are_triggered_at_once_and_then_at_the_interval(run: Soak) -> None:
    code, figures, airflow = run()
    assert airflow.triggered == [0.0, 100.0, 200.0]
    assert code == 0
    assert figures["runs"] == {"success": 3}
    assert (figures["tasks"], figures["lost_tasks"], figures["locks"]) == (3, [], 0)
    assert figures["drained"] is True


def test_a_failed_run_is_a_failure(run: Soak) -> None:
    code, figures, _ = run(run_state="failed")
    assert (code, figures["runs"]) == (1, {"failed": 3})


def test_a_run_that_does_not_end_is_a_failure_after_the_limit(run: Soak) -> None:
    code, figures, airflow = run(run_state="running")
    assert (code, figures["drained"]) == (1, False)
    assert airflow.now - 1000.0 >= 300 + 600


def test_a_task_that_never_ends_is_lost(run: Soak) -> None:
    code, figures, _ = run(task_state="queued")
    assert (code, figures["lost_tasks"]) == (1, ["corpus_refresh.plan"] * 3)


def test_a_log_that_reports_a_lock_is_a_failure(run: Soak) -> None:
    code, figures, _ = run(log="sqlite3.OperationalError: database is locked")
    assert (code, figures["locks"]) == (1, 1)
