"""The few calls of Airflow's REST API (v2) that the demo needs."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import httpx

from demo.timings import TaskTiming, task_timings

TERMINAL_RUN_STATES = {"success", "failed"}
_SERVER_ERROR_PATIENCE_S = 30.0


class AirflowApi:
    """A client of a local Airflow whose auth manager makes everyone an admin."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=30, transport=httpx.HTTPTransport(retries=3))
        token = self._http.get("/auth/token").raise_for_status().json()["access_token"]
        self._http.headers.update({"Authorization": f"Bearer {token}", "Accept": "application/json"})

    def dag_ids(self) -> set[str]:
        """DAGs that the DAG processor has parsed."""
        return {dag["dag_id"] for dag in self._get("dags", limit=100)["dags"]}

    def import_errors(self) -> list[str]:
        """Files that could not be parsed, with the error's last line."""
        errors = self._get("importErrors")["import_errors"]
        return [f"{error['filename']}: {error['stack_trace'].strip().splitlines()[-1]}" for error in errors]

    def trigger(self, dag_id: str, conf: dict[str, Any]) -> str:
        """Start a run with these params; returns its run id."""
        body = {"logical_date": None, "conf": conf}
        answer = self._http.post(f"/api/v2/dags/{dag_id}/dagRuns", json=body)
        return str(answer.raise_for_status().json()["dag_run_id"])

    def fail_run(self, dag_id: str, run_id: str) -> None:
        """Mark a run failed, as a click in the UI does: its jobs are stopped, nothing of it goes on."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}"
        self._http.patch(path, json={"state": "failed"}).raise_for_status()

    def runs_since(self, dag_id: str, since: datetime) -> list[dict[str, Any]]:
        """Runs that were queued at or after ``since``, the oldest first."""
        page = self._get(f"dags/{dag_id}/dagRuns", order_by="-id", limit=100)["dag_runs"]
        return [run for run in reversed(page) if datetime.fromisoformat(run["queued_at"]) >= since]

    def source_runs(self, dag_id: str, run_id: str) -> set[str]:
        """Ids of the runs whose asset events started this run."""
        events = self._get(f"dags/{dag_id}/dagRuns/{run_id}/upstreamAssetEvents")["asset_events"]
        return {str(event["source_run_id"]) for event in events}

    def run_state(self, dag_id: str, run_id: str) -> str:
        """queued, running, success or failed."""
        return str(self._get(f"dags/{dag_id}/dagRuns/{run_id}")["state"])

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Every task instance of a run, as Airflow answers."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        found: list[dict[str, Any]] = self._get(path, limit=100)["task_instances"]
        return found

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """The value that a task left, or None."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        answer = self._http.get(f"/api/v2/{path}", params={"deserialize": True})
        if answer.status_code == 404:
            return None
        return answer.raise_for_status().json()["value"]

    def failure(self, dag_id: str, run_id: str, task_id: str, try_number: int) -> str:
        """The message of the exception that ended a try, as its log has it; empty if the log has none."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        for event in reversed(self._get(path)["content"]):
            if isinstance(event, dict) and event.get("error_detail"):
                return str(event["error_detail"][0]["exc_value"])
        return ""

    def asset_extra(self, dag_id: str, run_id: str) -> dict[str, str]:
        """What the newest asset event of a run carries: URI and hash of a manifest."""
        events = self._get("assets/events", source_dag_id=dag_id, source_run_id=run_id, order_by="-timestamp")
        if not events["asset_events"]:
            return {}
        return {str(key): str(value) for key, value in events["asset_events"][0]["extra"].items()}

    def timings(self, dag_id: str, run_id: str) -> list[TaskTiming]:
        """How long each task of a run waited and worked."""
        began = self._get(f"dags/{dag_id}/dagRuns/{run_id}")["start_date"]
        tasks = self._get(f"dags/{dag_id}/tasks")["tasks"]
        downstream = {task["task_id"]: task["downstream_task_ids"] for task in tasks}
        return task_timings(dag_id, began, self.task_instances(dag_id, run_id), downstream)

    def _get(self, path: str, **params: Any) -> Any:
        """A reading call, repeated on a 5xx.

        Airflow 3.3.1 answers 500 for an asset event whose run is created but not yet started
        (its ``start_date`` is null, its answer's model says it never is).
        """
        deadline = time.monotonic() + _SERVER_ERROR_PATIENCE_S
        while True:
            answer = self._http.get(f"/api/v2/{path}", params=params)
            if not answer.is_server_error or time.monotonic() > deadline:
                return answer.raise_for_status().json()
            time.sleep(0.5)
