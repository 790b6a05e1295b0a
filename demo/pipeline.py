"""Run the four DAGs of one demo, from the trigger to a served model or a refusal of the gate."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import httpx

from demo.airflow_api import AirflowApi
from demo.follow import DAGS, FinishedRun, Follower, RunFailed, timings
from demo.outcome import (
    Store,
    corpus_summary,
    deployment_summary,
    gate_summary,
    run_of,
    training_summary,
)
from demo.progress import Display, running_logs
from demo.shards import Shards
from demo.summary import GateSummary, Summary
from include.contracts.errors import NexusError
from include.contracts.evaluation import Outcome
from include.contracts.manifests import DeploymentManifest
from include.contracts.storage import S3Uri


class Pipeline:
    """A sequence of runs: triggers the first DAG and follows the assets to the others.

    ``job_folder`` is the folder in which local_aws keeps the output of jobs.
    """

    def __init__(self, api: AirflowApi, store: Store, display: Display, job_folder: Path) -> None:
        self._api = api
        self._store = store
        self._display = display
        self._phase_began = time.time()
        self._follower = Follower(api, display, lambda: running_logs(job_folder, self._phase_began))
        self._runs: dict[str, FinishedRun] = {}
        self._extras: dict[str, dict[str, str]] = {}

    def run(self, shards: Shards) -> Summary:
        """Run the DAGs and return the summary. It has no deployment if the gate refuses the model.

        Raises RunFailed for any other run that fails.
        """
        self._wait_for_dags()
        since = datetime.now(UTC)
        before: FinishedRun | None = None
        for phase in DAGS:
            self._display.begin(phase)
            self._phase_began = time.time()
            run = self._started(phase, before, shards, since)
            try:
                with _failed_when_interrupted(self._api, run):
                    before = self._runs[phase] = self._follower.finish(phase, run.run_id)
            except RunFailed:
                self._runs[phase] = run
                gate = self._gate() if phase == "evaluation" else None
                if gate is None or gate.verdict == Outcome.PASS:
                    raise
                self._display.refuse(phase, f"the gate says {gate.verdict}")
                break
            self._extras[phase] = self._api.asset_extra(run.dag_id, run.run_id)
            self._display.end(phase, "done")
        return self._summary(shards)

    def _started(
        self, phase: str, before: FinishedRun | None, shards: Shards, since: datetime
    ) -> FinishedRun:
        if before is not None:
            return FinishedRun(DAGS[phase], self._follower.triggered_by_asset(phase, before, since))
        conf = {"source_uri": shards.source_uri, "continue_downstream": True}
        return FinishedRun(DAGS[phase], self._api.trigger(DAGS[phase], conf))

    def _gate(self) -> GateSummary | None:
        run = run_of(self._extras["training"]["manifest_uri"])
        return gate_summary(self._store, run, self._runs["evaluation"])

    def _summary(self, shards: Shards) -> Summary:
        gate = self._gate()
        if gate is None:
            raise NexusError("the evaluation wrote no verdict", where=self._runs["evaluation"].run_id)
        deployment = None
        if released := self._runs.get("deployment"):
            uri = str(self._api.xcom(released.dag_id, released.run_id, "record_deployment"))
            deployment = deployment_summary(self._store.read(DeploymentManifest, S3Uri.parse(uri)))
        return Summary(
            corpus=corpus_summary(self._store, self._extras["corpus"]["manifest_uri"], self._reused()),
            training=training_summary(self._store, run_of(self._extras["training"]["manifest_uri"])),
            gate=gate,
            deployment=deployment,
            tasks=tuple(timings(self._api, list(self._runs.values()))),
            seconds={},
            peak_memory_bytes=0,
            left_out=shards.left_out,
        )

    def _reused(self) -> bool:
        """Return True if the corpus version existed, so that no cluster was started."""
        run = self._runs["corpus"]
        tasks = self._api.task_instances(run.dag_id, run.run_id)
        return {task["task_id"]: task["state"] for task in tasks}.get("clean") == "skipped"

    def _wait_for_dags(self, limit_seconds: float = 60) -> None:
        deadline = time.monotonic() + limit_seconds
        while time.monotonic() < deadline:
            if errors := self._api.import_errors():
                raise NexusError("a DAG file cannot be parsed", where=errors[0])
            if set(DAGS.values()) <= self._api.dag_ids():
                return
            time.sleep(0.5)
        missing = ", ".join(sorted(set(DAGS.values()) - self._api.dag_ids()))
        raise NexusError(f"Airflow did not find {missing} in {limit_seconds:.0f} s")


@contextmanager
def _failed_when_interrupted(api: AirflowApi, run: FinishedRun) -> Iterator[None]:
    """Mark the run as failed if the demo is interrupted: Airflow would resume it during the next demo."""
    try:
        yield
    except KeyboardInterrupt:
        with suppress(httpx.HTTPError):
            api.fail_run(run.dag_id, run.run_id)
        raise
