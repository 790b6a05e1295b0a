"""Moves clusters and steps: starts what is due, waits, ships logs, obeys ActionOnFailure."""

from __future__ import annotations

import contextlib
import gzip
import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from include.contracts.errors import NexusError
from include.contracts.storage import S3Uri
from local_aws.emr.spark import spark_environment, spark_submit
from local_aws.emr.states import (
    ACTIVE_CLUSTER,
    CLUSTER,
    PENDING_STEP,
    RUNNING_STEP,
    STEP,
    end_cluster,
    end_step,
)
from local_aws.images import Image, ImageMap, container_environment
from local_aws.jobs.processes import Exit, JobProcess, Spec, kill_marked
from local_aws.jobs.supervisor import Stopping, Supervisor
from local_aws.jobs.table import Job
from local_aws.jobs.transfer import Transfer
from local_aws.settings import Settings

log = logging.getLogger(__name__)
_CANCEL_GRACE_SECONDS = 10.0


class StepRunner:
    """The executor of EMR."""

    def __init__(
        self, settings: Settings, supervisor: Supervisor, images: ImageMap, transfer: Transfer
    ) -> None:
        self._settings = settings
        self._supervisor = supervisor
        self._table = supervisor.table
        self._emr = images.emr
        self._transfer = transfer

    def adopt(self) -> None:
        """Wait for steps that still run; one that was about to start starts again."""
        for step in self._table.list(STEP):
            if step.state in RUNNING_STEP:
                if step.processes:
                    self._begin(step.name, self._follow)
                else:
                    with self._table.editing(STEP, step.name) as row:
                        row.state = PENDING_STEP

    def stop(self) -> None:
        """The threads end by themselves."""

    def tick(self) -> None:
        """Move every living cluster."""
        for cluster in self._table.list(CLUSTER):
            if cluster.state in ACTIVE_CLUSTER:
                self._move(cluster)
            elif cluster.state == "TERMINATING":
                self._terminate(cluster)

    def _move(self, cluster: Job) -> None:
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
        """RUNNING or WAITING; a cluster that need not be kept alive ends with its last step."""
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

    def _terminate(self, cluster: Job) -> None:
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
        self._supervisor.run(f"step {name}", lambda: self._drive(name, work))

    def _drive(self, name: str, work: Callable[[str], None]) -> None:
        """Do ``work`` in the step's thread; every way out leaves a final state in the table."""
        try:
            work(name)
        except Stopping:
            raise
        except Exception as error:
            log.exception("step %s", name)
            kill_marked(self._supervisor.marker + f"{STEP}/{name}/")
            self._fail(name, f"{type(error).__name__}: {error}", "")

    def _run(self, name: str) -> None:
        process = self._start(name)
        with self._table.editing(STEP, name) as row:
            row.processes = [process.row()]
        self._follow(name)

    def _start(self, name: str) -> JobProcess:
        step = self._step(name)
        folder = self._folder(name)
        scratch = folder / "scratch"
        shutil.rmtree(folder, ignore_errors=True)
        scratch.mkdir(parents=True)
        arguments = step.request["HadoopJarStep"]["Args"]
        image = Image("", (str(self._emr.venv / "bin"),), self._emr.pythonpath, {}, ())
        environment = container_environment(image, self._settings, {})
        if arguments[0] == "spark-submit":
            argv = spark_submit(arguments[1:], self._emr, self._settings, scratch)
            environment |= spark_environment(self._emr)
            environment["SPARK_LOCAL_IP"] = "127.0.0.1"
        else:
            argv = list(arguments)
        # stdout and stderr apart, as EMR keeps them; the wrapper's own words join stderr
        shell = 'out=$1 err=$2; shift 2; exec "$@" >>"$out" 2>>"$err"'
        argv = ["/bin/sh", "-c", shell, "sh", str(folder / "stdout"), str(folder / "stderr"), *argv]
        marker = self._supervisor.job_marker(STEP, name, step.generation)
        return JobProcess.start(Spec(argv, environment, str(scratch), marker), folder)

    def _follow(self, name: str) -> None:
        process = JobProcess.load(self._step(name).processes[0])
        try:
            state, end = self._wait(name, process)
        except Stopping:
            process.kill()
            end_step(self._table, name, "INTERRUPTED", message="local_aws was stopped while the step ran")
            raise
        process.kill()  # whatever spark-submit left behind
        self._ship_logs(name)
        if state == "FAILED":
            assert end is not None
            self._fail(name, *self._reason(name, end))
        else:
            end_step(self._table, name, state)
        shutil.rmtree(self._folder(name) / "scratch", ignore_errors=True)

    def _wait(self, name: str, process: JobProcess) -> tuple[str, Exit | None]:
        while True:
            if (end := process.exit()) is not None:
                return ("COMPLETED" if end.code == 0 else "FAILED"), end
            step = self._step(name)
            cluster = self._table.get(CLUSTER, step.parent)
            if step.state == "CANCEL_PENDING":
                self._end(process, force=step.detail.get("cancel") == "TERMINATE_PROCESS")
                return "CANCELLED", None
            if cluster is None or cluster.state not in ACTIVE_CLUSTER:
                self._end(process, force=False)
                return "INTERRUPTED", None
            self._supervisor.pause()

    def _end(self, process: JobProcess, *, force: bool) -> None:
        if not force:
            process.terminate()
            deadline = time.monotonic() + _CANCEL_GRACE_SECONDS
            while time.monotonic() < deadline and process.exit() is None:
                self._supervisor.pause()
        process.kill()

    def _fail(self, name: str, reason: str, message: str) -> None:
        failure = {"Reason": reason[:1024], "Message": message[:1024]}
        step = self._step(name)
        cluster = self._table.get(CLUSTER, step.parent)
        log_uri = cluster.request.get("LogUri") if cluster else None
        if log_uri:
            failure["LogFile"] = f"{log_uri.rstrip('/')}/{step.parent}/steps/{name}/stderr.gz"
        action = step.request.get("ActionOnFailure", "CONTINUE")
        # what follows must be settled before the failure shows, or the next step slips in between
        if action in ("CANCEL_AND_WAIT", "TERMINATE_CLUSTER", "TERMINATE_JOB_FLOW"):
            for other in self._table.list(STEP, step.parent):
                if other.state == PENDING_STEP:
                    end_step(self._table, other.name, "CANCELLED", message=f"Step {name} failed")
        end_step(self._table, name, "FAILED", failure=failure)
        if action in ("TERMINATE_CLUSTER", "TERMINATE_JOB_FLOW"):
            text = "Shut down as step failed"
            end_cluster(self._table, step.parent, "TERMINATING", "STEP_FAILURE", text)

    def _reason(self, name: str, end: Exit) -> tuple[str, str]:
        folder = self._folder(name)
        lines = ""
        for part in ("stderr", "output.log"):
            with contextlib.suppress(OSError):
                lines = lines or (folder / part).read_text("utf-8", "replace")[-8000:]
        tail = [line for line in lines.splitlines() if " INFO " not in line][-12:]
        what = "vanished without an exit status" if end.code == -1 else f"exited with code {end.code}"
        # the last words carry the exception; keep the end when it is too long
        return f"The step's process {what}.", "\n".join(tail)[-1000:]

    def _ship_logs(self, name: str) -> None:
        step = self._step(name)
        cluster = self._table.get(CLUSTER, step.parent)
        log_uri = cluster.request.get("LogUri") if cluster else None
        if not log_uri:
            return
        try:
            place = S3Uri.parse(log_uri.replace("s3n://", "s3://")) / f"{step.parent}/steps/{name}"
            for part, source in (("stdout", "stdout"), ("stderr", "stderr"), ("controller", "output.log")):
                path = self._folder(name) / source
                content = path.read_bytes() if path.exists() else b""
                self._transfer.put(place / f"{part}.gz", gzip.compress(content))
        except (NexusError, OSError) as error:
            # what the step did stands: a missing log bucket makes it neither better nor worse
            log.warning("step %s: its logs are not in S3: %s", name, error)

    def _folder(self, name: str) -> Path:
        return self._settings.state / "emr" / name

    def _step(self, name: str) -> Job:
        step = self._table.get(STEP, name)
        assert step is not None
        return step
