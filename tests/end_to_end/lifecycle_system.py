"""A real Airflow and a real local AWS for the lifecycle tests, and what they look at."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import boto3
import httpx

from include.contracts.job_names import RunIdentity
from local_stack import provision
from local_stack import stack as stack_module
from local_stack.airflow import airflow_environment, component_command
from local_stack.config import StackConfig
from local_stack.processes import ProcessRecord, end_group
from local_stack.stack import Stack
from tests.support.ports import free_ports
from tests.support.waiting import wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
DAGS = Path(__file__).with_name("lifecycle_dags")

_LIMIT_SECONDS = 90.0
#: Losses are noticed in seconds here, not in minutes.
_OPTIONS = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "8",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "2",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    "AIRFLOW__CORE__PARALLELISM": "3",
}


class LifecycleStack(Stack):
    """The local system with the tests' DAGs and short heartbeats; no load balancer, no code upload."""

    def __init__(self, config: StackConfig, dags: Path) -> None:
        super().__init__(config)
        self.dags = dags

    def start_airflow(self, component: str) -> ProcessRecord:
        environment = airflow_environment(self.config) | _OPTIONS
        environment["AIRFLOW__CORE__DAGS_FOLDER"] = str(self.dags)
        return self._run(component, component_command(self.config, component), environment)

    def end(self, component: str) -> None:
        end_group(next(r for r in self.book.records() if r.name == component and r.alive))


@contextmanager
def running_system(state: Path, dags: Path = DAGS, more_settings: str = "") -> Iterator[System]:
    aws, airflow, serving = free_ports(3)
    config = StackConfig(REPOSITORY, state, aws, airflow, serving)
    stack = LifecycleStack(config, dags)

    def write_settings(config: StackConfig) -> None:
        provision.write_settings(config)
        with config.settings_file.open("a") as settings:
            settings.write(more_settings)

    patches: dict[str, Any] = {"provision": _buckets, "write_settings": write_settings}
    with mock.patch.multiple(stack_module, **patches):
        stack.up(lambda _: None)
    try:
        yield System(stack)
    finally:
        stack.down(lambda _: None)


def _buckets(config: StackConfig) -> None:
    s3 = _client(config, "s3")
    for bucket in ("nexus-llm-raw", "nexus-llm-processed", "nexus-llm-models"):
        s3.create_bucket(Bucket=bucket)


def _client(config: StackConfig, service: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=config.aws_endpoint,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )


def kill_worker(task: int) -> None:
    """kill -9 to a task's process and to the worker that supervises it."""
    for pid in (supervisor_of(task), task):
        os.kill(pid, signal.SIGKILL)


def supervisor_of(task: int) -> int:
    """Return the process id of the worker that supervises a task's process."""
    return int(Path(f"/proc/{task}/stat").read_text().rpartition(")")[2].split()[1])


@dataclass
class DagRun:
    """One DAG run with its training task."""

    system: System
    dag_id: str
    run_id: str

    @property
    def _path(self) -> str:
        return f"dags/{self.dag_id}/dagRuns/{self.run_id}"

    def task(self) -> dict[str, Any]:
        return self.system.get(f"{self._path}/taskInstances/train")

    def reaches(self, *states: str, tries: int = 1) -> dict[str, Any]:
        """Wait until the task is in one of ``states``, in at least this try, and return it."""

        return wait_until(
            self.task,
            lambda task: task["state"] in states and task["try_number"] >= tries,
            seconds=_LIMIT_SECONDS,
            every_seconds=0.5,
            what=f"{self.dag_id} {self.run_id}: {states}, try {tries}",
        )

    def ends(self) -> None:
        """Check that the task succeeds and that Airflow closes the run.

        A task cleared between the two is lost on Airflow: the scheduler, which counted it as done already,
        closes the run over it.
        """
        self.reaches("success")

        def state() -> str:
            return str(self.system.get(self._path)["state"])

        wait_until(
            state,
            lambda now: now == "success",
            seconds=_LIMIT_SECONDS,
            every_seconds=0.5,
            what=f"{self.dag_id} {self.run_id}",
        )

    def clear(self) -> None:
        body = {"dry_run": False, "dag_run_id": self.run_id, "task_ids": ["train"], "only_failed": False}
        self.system.send("POST", f"dags/{self.dag_id}/clearTaskInstances", body | {"reset_dag_runs": True})

    def mark(self, state: str) -> None:
        self.system.send("PATCH", f"{self._path}/taskInstances/train", {"new_state": state})

    def mark_run(self, state: str) -> None:
        self.system.send("PATCH", self._path, {"state": state})

    def cancel_job(self, generation: int) -> None:
        """Stop a job as a person does it in the console."""
        name = RunIdentity("dev", self.dag_id, self.run_id).job("train").name(generation)
        self.system.sagemaker.stop_training_job(TrainingJobName=name)

    def note(self, text: str) -> None:
        self.system.send("PATCH", f"{self._path}/taskInstances/train", {"note": text})

    def finish_job(self) -> None:
        key = f"runs/{self.dag_id}-{self.run_id}/finish"
        self.system.s3.put_object(Bucket="nexus-llm-models", Key=key, Body=b"now")

    def lose_worker(self) -> None:
        kill_worker(int(self.task()["pid"]))

    def shut_worker_down(self) -> None:
        """Send the signal of an orderly shutdown, which the worker passes on to its task."""
        os.kill(supervisor_of(int(self.task()["pid"])), signal.SIGTERM)

    def job(self, generation: int) -> dict[str, Any] | None:
        name = RunIdentity("dev", self.dag_id, self.run_id).job("train").name(generation)
        try:
            described: dict[str, Any] = self.system.sagemaker.describe_training_job(TrainingJobName=name)
        except self.system.sagemaker.exceptions.ClientError:
            return None
        return described

    def status(self, generation: int) -> str:
        job = self.job(generation)
        return str(job["TrainingJobStatus"]) if job else "absent"

    def job_reaches(self, generation: int, status: str) -> None:
        what = f"{self.dag_id} {self.run_id} g{generation}: {status}"
        wait_until(
            lambda: self.status(generation),
            lambda now: now == status,
            seconds=_LIMIT_SECONDS,
            every_seconds=0.5,
            what=what,
        )

    def never_two_at_once(self) -> None:
        """Check that each generation ended before the next one was created."""
        generation = 1
        while following := self.job(generation + 1):
            job = self.job(generation)
            assert job and job["TrainingEndTime"] <= following["CreationTime"], f"g{generation} overlaps"
            generation += 1

    def none_runs(self) -> None:
        generation = 1
        while self.job(generation):
            assert self.status(generation) not in ("InProgress", "Stopping")
            generation += 1


class System:
    """Handles of the running system."""

    def __init__(self, stack: LifecycleStack) -> None:
        self.stack = stack
        self.s3 = _client(stack.config, "s3")
        self.sagemaker = _client(stack.config, "sagemaker")
        self._http = httpx.Client(base_url=stack.config.airflow_url, timeout=90)
        token = self._http.get("/auth/token").raise_for_status().json()["access_token"]
        self._http.headers["Authorization"] = f"Bearer {token}"
        self._runs = 0

    def get(self, path: str) -> dict[str, Any]:
        answer: dict[str, Any] = self._http.get(f"/api/v2/{path}").raise_for_status().json()
        return answer

    def send(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        response = self._http.request(method, f"/api/v2/{path}", json=body)
        assert response.is_success, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def start(self, dag_id: str, **conf: Any) -> DagRun:
        """Start a run and wait until its first job is in progress."""
        run = DagRun(self, dag_id, self.trigger(dag_id, **conf))
        run.job_reaches(1, "InProgress")
        return run

    def trigger(self, dag_id: str, **conf: Any) -> str:
        """Start a run, once the DAG is known; returns its id."""
        dags = f"{dag_id} is parsed"
        wait_until(
            lambda: any(d["dag_id"] == dag_id for d in self.get("dags")["dags"]),
            seconds=_LIMIT_SECONDS,
            every_seconds=0.5,
            what=dags,
        )
        self._runs += 1
        body = {"dag_run_id": f"run{self._runs}", "logical_date": None, "conf": conf}
        self.send("POST", f"dags/{dag_id}/dagRuns", body)
        return f"run{self._runs}"
