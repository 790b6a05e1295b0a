"""The jobs that have a page, each with its state, facts and log files, read from the resource table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local_aws.emr.states import CLUSTER, STEP
from local_aws.emr_serverless.applications import RUN as SERVERLESS_RUN
from local_aws.glue.jobs import RUN as GLUE_RUN
from local_aws.resources import Resource, ResourceTable
from local_aws.sagemaker.interruptions import KIND as TRAINING
from local_aws.sagemaker.processing import KIND as PROCESSING
from local_aws.ui.logs import ReportedProgress, progress

#: The kinds of each service, in the order in which an id is looked up.
KINDS: dict[str, tuple[str, ...]] = {
    "emr": (STEP, CLUSTER),
    "emr-serverless": (SERVERLESS_RUN,),
    "glue": (GLUE_RUN,),
    "sagemaker": (TRAINING, PROCESSING),
}
_TITLES = {
    STEP: "EMR step",
    CLUSTER: "EMR cluster",
    SERVERLESS_RUN: "EMR Serverless job run",
    GLUE_RUN: "Glue job run",
    TRAINING: "SageMaker training job",
    PROCESSING: "SageMaker processing job",
}
_GOOD = {"COMPLETED", "SUCCESS", "SUCCEEDED", "Completed"}
_BAD = {"FAILED", "TIMEOUT", "Failed", "TERMINATED_WITH_ERRORS"}
_OVER = _GOOD | _BAD | {"CANCELLED", "INTERRUPTED", "STOPPED", "Stopped", "TERMINATED"}


@dataclass(frozen=True)
class LogFile:
    """A file with the output of a job. Pages and URLs use its ``name``; ``contents`` says what is in it."""

    name: str
    path: Path
    contents: str = ""


@dataclass(frozen=True)
class ShownJob:
    """A job as its page shows it. Times are seconds since 1970."""

    service: str
    title: str
    row: Resource
    logs: tuple[LogFile, ...] = ()
    steps: tuple[Resource, ...] = field(default=(), repr=False)

    @property
    def name(self) -> str:
        """The name that the request gave, or the id."""
        request = self.row.request
        return str(request.get("Name") or request.get("name") or request.get("JobName") or self.row.name)

    @property
    def is_over(self) -> bool:
        """True if the state is final."""
        return self.row.state in _OVER

    @property
    def progress(self) -> ReportedProgress | None:
        """The progress that a running job reported last, None if it is over or has reported nothing."""
        if self.is_over:
            return None
        return next(filter(None, (progress(log.path) for log in self.logs)), None)

    @property
    def reason(self) -> str:
        """The service's reason for the end of the job, or ''."""
        detail = self.row.detail
        failure = detail.get("failure") or {}
        reason = detail.get("reason") or ""
        if isinstance(reason, dict):
            reason = reason.get("Message", "")
        return "\n".join(filter(None, [reason, failure.get("Reason"), failure.get("Message")]))

    @property
    def started(self) -> float | None:
        """The time at which its process started, None before that."""
        found = self.row.detail.get("started", self.row.detail.get("ready"))
        return float(found) if found is not None else None

    @property
    def ended(self) -> float | None:
        """The time at which it ended, None before that."""
        found = self.row.detail.get("ended")
        return float(found) if found is not None else None


def tone(state: str) -> str:
    """Return the style of a state: good, bad, ended or active."""
    if state in _GOOD or state == "ACTIVE":  # a service
        return "good"
    if state in _BAD:
        return "bad"
    return "ended" if state in _OVER or state == "INACTIVE" else "active"


class ShownJobs:
    """Finds jobs in the table; ``state`` is the folder below which their output lies."""

    def __init__(self, table: ResourceTable, state: Path) -> None:
        self._table = table
        self._state = state

    def find(self, service: str, name: str) -> ShownJob | None:
        """Return the job with this id or name, None if there is none."""
        for kind in KINDS.get(service, ()):
            row = self._table.get(kind, name)
            if row is not None:
                return self._view(service, row)
        return None

    def newest(self, limit: int) -> list[ShownJob]:
        """Return the newest jobs of all services; clusters come with their steps."""
        views = [
            self._view(service, row)
            for service, kinds in KINDS.items()
            for kind in kinds
            for row in self._table.list(kind)
        ]
        return sorted(views, key=lambda view: view.row.created, reverse=True)[:limit]

    def _view(self, service: str, row: Resource) -> ShownJob:
        steps = tuple(reversed(self._table.list(STEP, row.name))) if row.kind == CLUSTER else ()
        return ShownJob(service, _TITLES[row.kind], row, tuple(self._logs(row)), steps)

    def _logs(self, row: Resource) -> Iterator[LogFile]:
        if row.kind in (TRAINING, PROCESSING):
            folder = self._state / "sagemaker" / row.kind / row.name
            for number in range(1, _hosts(row.request) + 1):
                yield LogFile(f"algo-{number}", folder / f"algo-{number}" / "output.log")
        elif row.kind != CLUSTER:
            folder = self._state / row.kind / row.name
            stdout = LogFile("stdout", folder / "stdout", "progress and result")
            stderr = LogFile("stderr", folder / "stderr", "Spark's messages, and the error if it failed")
            yield from (stderr, stdout) if row.state in _BAD else (stdout, stderr)
            yield LogFile("controller", folder / "output.log", "output before the start of Spark")


def _hosts(request: dict[str, Any]) -> int:
    training = request.get("ResourceConfig", {})
    processing = request.get("ProcessingResources", {}).get("ClusterConfig", {})
    return int(training.get("InstanceCount") or processing.get("InstanceCount") or 1)
