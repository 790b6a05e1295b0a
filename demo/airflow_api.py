"""A client for the calls of Airflow's REST API (v2) that the demo needs."""

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
        """Return the ids of the DAGs that the DAG processor has parsed."""
        return {dag["dag_id"] for dag in self._get("dags", limit=100)["dags"]}

    def import_errors(self) -> list[str]:
        """Return the files that could not be parsed, each with the last line of its error."""
        errors = self._get("importErrors")["import_errors"]
        return [f"{error['filename']}: {error['stack_trace'].strip().splitlines()[-1]}" for error in errors]

    def trigger(self, dag_id: str, conf: dict[str, Any]) -> str:
        """Trigger a run with these params and return its run id."""
        body = {"logical_date": None, "conf": conf}
        answer = self._http.post(f"/api/v2/dags/{dag_id}/dagRuns", json=body)
        return str(answer.raise_for_status().json()["dag_run_id"])

    def fail_run(self, dag_id: str, run_id: str) -> None:
        """Mark a run as failed, as the button in the UI does. Its jobs are stopped."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}"
        self._http.patch(path, json={"state": "failed"}).raise_for_status()

    def runs_since(self, dag_id: str, since: datetime) -> list[dict[str, Any]]:
        """Return the runs that were queued at or after ``since``, oldest first."""
        page = self._get(f"dags/{dag_id}/dagRuns", order_by="-id", limit=100)["dag_runs"]
        return [run for run in reversed(page) if datetime.fromisoformat(run["queued_at"]) >= since]

    def source_runs(self, dag_id: str, run_id: str) -> set[str]:
        """Return the ids of the runs whose asset events triggered this run."""
        events = self._get(f"dags/{dag_id}/dagRuns/{run_id}/upstreamAssetEvents")["asset_events"]
        return {str(event["source_run_id"]) for event in events}

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return the state of a run: queued, running, success or failed."""
        return str(self._get(f"dags/{dag_id}/dagRuns/{run_id}")["state"])

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return every task instance of a run, as in Airflow's response."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        found: list[dict[str, Any]] = self._get(path, limit=100)["task_instances"]
        return found

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """Return the XCom value of a task, or None if there is none."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        answer = self._http.get(f"/api/v2/{path}", params={"deserialize": True})
        if answer.status_code == 404:
            return None
        return answer.raise_for_status().json()["value"]

    def failure(self, dag_id: str, run_id: str, task_id: str, try_number: int) -> str:
        """Return the message of the exception that ended a try, from its log; empty if the log has none."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        for event in reversed(self._get(path)["content"]):
            if isinstance(event, dict) and event.get("error_detail"):
                return str(event["error_detail"][0]["exc_value"])
        return ""

    def asset_extra(self, dag_id: str, run_id: str) -> dict[str, str]:
        """Return the ``extra`` of the newest asset event of a run: URI and hash of a manifest."""
        events = self._get("assets/events", source_dag_id=dag_id, source_run_id=run_id, order_by="-timestamp")
        if not events["asset_events"]:
            return {}
        return {str(key): str(value) for key, value in events["asset_events"][0]["extra"].items()}

    def timings(self, dag_id: str, run_id: str) -> list[TaskTiming]:
        """Return the waiting and running time of each task of a run."""
        began = self._get(f"dags/{dag_id}/dagRuns/{run_id}")["start_date"]
        tasks = self._get(f"dags/{dag_id}/tasks")["tasks"]
        downstream = {task["task_id"]: task["downstream_task_ids"] for task in tasks}
        return task_timings(dag_id, began, self.task_instances(dag_id, run_id), downstream)

    def _get(self, path: str, **params: Any) -> Any:
        """Send a GET request, and repeat it while the answer is a 5xx.

        Airflow 3.3.1 answers 500 for an asset event whose run is created but not yet started: its
        ``start_date`` is null, which the model of the response does not allow.
        """
        deadline = time.monotonic() + _SERVER_ERROR_PATIENCE_S
        while True:
            answer = self._http.get(f"/api/v2/{path}", params=params)
            if not answer.is_server_error or time.monotonic() > deadline:
                return answer.raise_for_status().json()
            time.sleep(0.5)
