"""Runs EMR clusters: starts pending steps, waits for them, uploads logs and applies ActionOnFailure."""

from __future__ import annotations

import gzip
import logging
import time
from collections.abc import Callable

from include.contracts.errors import NexusError
from include.contracts.storage import S3Uri
from local_aws.emr.states import (
    ACTIVE_CLUSTER,
    CLUSTER,
    PENDING_STEP,
    RUNNING_STEP,
    STEP,
    end_cluster,
    end_step,
)
from local_aws.images import ImageMap
from local_aws.jobs.processes import JobProcess
from local_aws.jobs.supervisor import Stopping, Supervisor
from local_aws.jobs.transfer import Transfer
from local_aws.resources import Resource
from local_aws.settings import LocalAwsSettings
from local_aws.spark.process import SparkProcesses

log = logging.getLogger(__name__)


class StepRunner:
    """Changes the states of EMR clusters and steps, and runs each step in a thread."""

    def __init__(
        self, settings: LocalAwsSettings, supervisor: Supervisor, images: ImageMap, transfer: Transfer
    ) -> None:
        self._supervisor = supervisor
        self._table = supervisor.table
        self._processes = SparkProcesses(STEP, settings, supervisor, images)
        self._transfer = transfer

    def adopt(self) -> None:
        """Follow the steps that still run after a restart. A step without a process becomes pending again."""
        for step in self._table.list(STEP):
            if step.state in RUNNING_STEP:
                if step.processes:
                    self._begin(step.name, self._follow)
                else:
                    with self._table.editing(STEP, step.name) as row:
                        row.state = PENDING_STEP

    def stop(self) -> None:
        """Do nothing: the threads of the steps end when the supervisor stops."""

    def tick(self) -> None:
        """Advance every cluster that has not ended by one state."""
        for cluster in self._table.list(CLUSTER):
            if cluster.state in ACTIVE_CLUSTER:
                self._move(cluster)
            elif cluster.state == "TERMINATING":
                self._terminate(cluster)

    def _move(self, cluster: Resource) -> None:
        if cluster.state == "STARTING":
            with self._table.editing(CLUSTER, cluster.name) as row:
                if row.state == "STARTING":
                    row.state = "WAITING"
                    row.detail["ready"] = row.detail["idle_since"] = time.time()
        steps = self._table.list(STEP, cluster.name)
        running = sum(step.state in RUNNING_STEP for step in steps)
        pending = [step for step in steps if step.state == PENDING_STEP]
        for step in pending[: max(0, cluster.detail["concurrency"] - running)]:
            with self._table.editing(STEP, step.name) as row:
                if row.state != PENDING_STEP:
                    continue
                row.state = "RUNNING"
                row.detail["started"] = time.time()
            running += 1
            self._begin(step.name, self._run)
        self._settle(cluster.name, busy=bool(running or pending))

    def _settle(self, name: str, *, busy: bool) -> None:
        """Set the cluster to RUNNING or WAITING, or to TERMINATING if it is idle and not kept alive."""
        with self._table.editing(CLUSTER, name) as row:
            if row.state not in ACTIVE_CLUSTER:
                return
            row.state = "RUNNING" if busy else "WAITING"
            row.detail["reason"] = {"Message": "Running step" if busy else "Cluster ready to run steps."}
            if busy:
                row.detail["idle_since"] = time.time()
                return
            keep = row.request["Instances"].get("KeepJobFlowAliveWhenNoSteps", False)
            idle = row.detail.get("idle_timeout")
            if not keep or (idle and time.time() - row.detail["idle_since"] > idle):
                row.state = "TERMINATING"
                row.detail["reason"] = {"Code": "ALL_STEPS_COMPLETED", "Message": "Steps completed"}

    def _terminate(self, cluster: Resource) -> None:
        steps = self._table.list(STEP, cluster.name)
        for step in steps:
            if step.state == PENDING_STEP:
                end_step(self._table, step.name, "CANCELLED", message="Cluster terminated")
        if any(step.state in RUNNING_STEP for step in steps):
            return  # their threads see TERMINATING and end them
        with self._table.editing(CLUSTER, cluster.name) as row:
            failed = row.detail["reason"].get("Code") == "STEP_FAILURE"
            row.state = "TERMINATED_WITH_ERRORS" if failed else "TERMINATED"
            row.detail["ended"] = time.time()

    def _begin(self, name: str, work: Callable[[str], None]) -> None:
        self._supervisor.run_job(STEP, name, work, self._fail)

    def _run(self, name: str) -> None:
        step = self._step(name)
        arguments = step.request["HadoopJarStep"]["Args"]
        cluster = self._table.get(CLUSTER, step.parent)
        profile = cluster.request.get("JobFlowRole", "") if cluster else ""
        role = step.request.get("ExecutionRoleArn", profile)
        process = self._processes.start(name, arguments, step.generation, role)
        with self._table.editing(STEP, name) as row:
            row.processes = [process.row()]
        self._follow(name)

    def _follow(self, name: str) -> None:
        process = JobProcess.load(self._step(name).processes[0])
        try:
            end = self._processes.wait(process, lambda: self._unwanted(name))
            if isinstance(end, str):
                force = self._step(name).detail.get("cancel") == "TERMINATE_PROCESS"
                self._processes.end(process, force=force)
        except Stopping:
            process.kill()
            end_step(self._table, name, "INTERRUPTED", message="local_aws was stopped while the step ran")
            raise
        process.kill()  # processes that spark-submit left behind
        self._ship_logs(name)
        if isinstance(end, str):
            end_step(self._table, name, end)
        elif end.code == 0:
            end_step(self._table, name, "COMPLETED")
        else:
            what, words = self._processes.reason(name, end)
            self._fail(name, f"The step's process {what}.", words)
        self._processes.tidy(name)

    def _unwanted(self, name: str) -> str:
        """Return the final state of a running step that must be stopped, or '' if it may go on."""
        step = self._step(name)
        if step.state == "CANCEL_PENDING":
            return "CANCELLED"
        cluster = self._table.get(CLUSTER, step.parent)
        return "" if cluster is not None and cluster.state in ACTIVE_CLUSTER else "INTERRUPTED"

    def _fail(self, name: str, reason: str, message: str = "") -> None:
        failure = {"Reason": reason[:1024], "Message": message[:1024]}
        step = self._step(name)
        cluster = self._table.get(CLUSTER, step.parent)
        log_uri = cluster.request.get("LogUri") if cluster else None
        if log_uri:
            failure["LogFile"] = f"{log_uri.rstrip('/')}/{step.parent}/steps/{name}/stderr.gz"
        action = step.request.get("ActionOnFailure", "CONTINUE")
        # cancel the other steps before the failure is visible, or the next one could start in between
        if action in ("CANCEL_AND_WAIT", "TERMINATE_CLUSTER", "TERMINATE_JOB_FLOW"):
            for other in self._table.list(STEP, step.parent):
                if other.state == PENDING_STEP:
                    end_step(self._table, other.name, "CANCELLED", message=f"Step {name} failed")
        end_step(self._table, name, "FAILED", failure=failure)
        if action in ("TERMINATE_CLUSTER", "TERMINATE_JOB_FLOW"):
            text = "Shut down as step failed"
            end_cluster(self._table, step.parent, "TERMINATING", "STEP_FAILURE", text)

    def _ship_logs(self, name: str) -> None:
        step = self._step(name)
        cluster = self._table.get(CLUSTER, step.parent)
        log_uri = cluster.request.get("LogUri") if cluster else None
        if not log_uri:
            return
        try:
            folder = S3Uri.parse(log_uri.replace("s3n://", "s3://")) / f"{step.parent}/steps/{name}"
            for part, source in (("stdout", "stdout"), ("stderr", "stderr"), ("controller", "output.log")):
                content = gzip.compress(self._processes.output(name, source))
                self._transfer.put(folder / f"{part}.gz", content)
        except (NexusError, OSError) as error:
            # a missing log bucket does not change the result of the step
            log.warning("step %s: its logs are not in S3: %s", name, error)

    def _step(self, name: str) -> Resource:
        step = self._table.get(STEP, name)
        assert step is not None
        return step
