"""Follow the four DAGs of one demo run, from the trigger to the deployment, through Airflow's API."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from demo.airflow_api import TERMINAL_RUN_STATES, AirflowApi
from demo.progress import Display, last_progress
from demo.timings import TaskTiming
from include.contracts.errors import NexusError

#: The DAG of each phase, in the order of the assets that join them.
DAGS = {
    "corpus": "corpus_refresh",
    "training": "model_training",
    "evaluation": "model_evaluation",
    "deployment": "model_deployment",
}
_POLL_SECONDS = 1.0
_ASSET_LIMIT_SECONDS = 90.0


class RunFailed(NexusError):
    """A DAG run of the demo did not succeed."""


@dataclass(frozen=True)
class FinishedRun:
    """A DAG run that has finished."""

    dag_id: str
    run_id: str


class Follower:
    """A watcher that waits for runs and shows their progress.

    ``job_logs`` yields the output files of the jobs that are running.
    """

    def __init__(self, api: AirflowApi, display: Display, job_logs: Callable[[], Iterator[Path]]) -> None:
        self._api = api
        self._display = display
        self._job_logs = job_logs

    def triggered_by_asset(self, phase: str, source: FinishedRun, since: datetime) -> str:
        """Return the id of the run that the asset event of ``source`` triggered."""
        deadline = time.monotonic() + _ASSET_LIMIT_SECONDS
        while time.monotonic() < deadline:
            for run in self._api.runs_since(DAGS[phase], since):
                run_id = str(run["dag_run_id"])
                if source.run_id in self._api.source_runs(DAGS[phase], run_id):
                    return run_id
            time.sleep(_POLL_SECONDS / 2)
        raise RunFailed(
            "the asset of the previous DAG triggered no run",
            where=DAGS[phase],
            expected=f"a run within {_ASSET_LIMIT_SECONDS:.0f} s",
            remedy="open Assets in the Airflow UI (`make up`) and look for the event of the previous DAG",
        )

    def finish(self, phase: str, run_id: str) -> FinishedRun:
        """Wait until the run has finished. Raises RunFailed, which names the failed tasks."""
        dag_id = DAGS[phase]
        while (state := self._api.run_state(dag_id, run_id)) not in TERMINAL_RUN_STATES:
            self._display.note(phase, self._describe(dag_id, run_id))
            time.sleep(_POLL_SECONDS)
        if state == "failed":
            raise RunFailed(
                self._failures(dag_id, run_id) or "the run failed, but none of its tasks did",
                where=f"{dag_id} {run_id}",
                remedy="start the system with `make up` and read the logs of the run in the Airflow UI",
            )
        return FinishedRun(dag_id, run_id)

    def _failures(self, dag_id: str, run_id: str) -> str:
        failures = []
        for task in self._api.task_instances(dag_id, run_id):
            if task["state"] == "failed":
                name, tried = task["task_id"], task["try_number"]
                reason = self._api.failure(dag_id, run_id, name, tried)
                failures.append(f"{name} failed (try {tried}): {reason}")
        return "; ".join(failures)

    def _describe(self, dag_id: str, run_id: str) -> str:
        tasks = self._api.task_instances(dag_id, run_id)
        done = sum(task["state"] in ("success", "skipped") for task in tasks)
        active = [task["task_id"] for task in tasks if task["state"] in ("running", "deferred", "restarting")]
        text = f"task {done} / {len(tasks)}  {', '.join(active)}"
        progress = [str(found) for log in self._job_logs() if (found := last_progress(log))]
        return f"{text}  {'; '.join(progress)}".rstrip()


def timings(api: AirflowApi, runs: list[FinishedRun]) -> list[TaskTiming]:
    """Return the waiting and running time of every task of these runs."""
    return [timing for run in runs for timing in api.timings(run.dag_id, run.run_id)]
