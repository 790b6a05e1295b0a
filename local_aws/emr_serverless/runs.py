"""Job runs of EMR Serverless: the operations, and the rules for their executor."""

from __future__ import annotations

import gzip
import logging
import math
import shlex
import time
from typing import Any

from include.contracts.errors import NexusError
from include.contracts.storage import S3Uri
from local_aws.emr_serverless.applications import (
    RUN,
    Applications,
    application_arn,
    identifier,
    invalid,
    page,
    same_token,
)
from local_aws.errors import AwsError
from local_aws.front_door.operations import Handler
from local_aws.images import ImageMap
from local_aws.jobs.supervisor import Supervisor
from local_aws.jobs.transfer import Transfer
from local_aws.resources import Resource
from local_aws.settings import ACCOUNT, LocalAwsSettings
from local_aws.spark.process import SparkProcesses
from local_aws.spark.runs import JobRuns, RunStates

log = logging.getLogger(__name__)
STATES = RunStates(
    waiting=("SUBMITTED", "PENDING", "SCHEDULED"),
    running="RUNNING",
    stopping="CANCELLING",
    stopped="CANCELLED",
    succeeded="SUCCESS",
    failed="FAILED",
    timed_out="CANCELLED",
)
_SUMMARY = (
    "applicationId", "name", "mode", "arn", "createdBy", "createdAt", "updatedAt", "executionRole", "state",
    "stateDetails", "releaseLabel",
)  # fmt: skip
#: The service's default time limit in minutes.
_TIMEOUT_MINUTES = 720


class ServerlessRuns:
    """The operations on job runs. ``executor`` runs them."""

    kind = RUN
    states = STATES

    def __init__(
        self, settings: LocalAwsSettings, supervisor: Supervisor, images: ImageMap, transfer: Transfer
    ) -> None:
        self._table = supervisor.table
        self._transfer = transfer
        self.applications = Applications(settings, supervisor.table, STATES.active)
        self._processes = SparkProcesses(RUN, settings, supervisor, images)
        self.executor = JobRuns(self, settings, supervisor, self._processes)

    def handlers(self) -> dict[str, Handler]:
        """Return the handlers by operation name, including those of applications."""
        return self.applications.handlers() | {
            "StartJobRun": self.start_job,
            "GetJobRun": lambda request: {"jobRun": self._view(self._run(request))},
            "ListJobRuns": self.list_jobs,
            "CancelJobRun": self.cancel,
        }

    def start_job(self, request: dict[str, Any]) -> dict[str, Any]:
        application = request["applicationId"]
        if "sparkSubmit" not in request.get("jobDriver", {}):
            raise invalid("jobDriver.sparkSubmit is required: local_aws supports only Spark jobs")
        _refuse_unrun(request)
        with self._table.lock:
            self.applications.application(application)
            run = same_token(self._table.list(RUN, application), request)
            if run is None:
                self.applications.submitted(application)
                run = Resource(RUN, identifier(), STATES.waiting[0], request, {}, parent=application)
                self._table.insert(run)
        return {"applicationId": application, "jobRunId": run.name, "arn": _arn(run)}

    def list_jobs(self, request: dict[str, Any]) -> dict[str, Any]:
        self.applications.application(request["applicationId"])
        after, before = request.get("createdAtAfter", 0.0), request.get("createdAtBefore", math.inf)
        states, mode = request.get("states"), request.get("mode", "BATCH")
        rows = [
            row
            for row in reversed(self._table.list(RUN, request["applicationId"]))
            if (not states or row.state in states)
            and row.request.get("mode", "BATCH") == mode
            and after <= row.created <= before
        ]
        views = [
            {"id": row.name, "type": "SPARK"} | {k: v for k, v in self._view(row).items() if k in _SUMMARY}
            for row in rows
        ]
        return page("jobRuns", views, request)

    def cancel(self, request: dict[str, Any]) -> dict[str, Any]:
        run = self._run(request)
        if not self.executor.request_stop(run.name):
            raise invalid(f"Job run {run.name} is {run.state}")
        return {"applicationId": run.parent, "jobRunId": run.name}

    # ---- called by the executor ---------------------------------------------
    def may_start(self, run: Resource) -> bool:
        """See RunService."""
        return self.applications.is_started(run.parent)

    def arguments(self, run: Resource) -> list[str]:
        """See RunService. Properties of the submission override those of the configuration."""
        submit = run.request["jobDriver"]["sparkSubmit"]
        configurations = run.request.get("configurationOverrides", {}).get("applicationConfiguration", [])
        properties = [
            word
            for entry in configurations
            if entry["classification"] == "spark-defaults"
            for key, value in entry.get("properties", {}).items()
            for word in ("--conf", f"{key}={value}")
        ]
        given = shlex.split(submit.get("sparkSubmitParameters", ""))
        entry_point = [submit["entryPoint"], *submit.get("entryPointArguments", [])]
        return ["spark-submit", *properties, *given, *entry_point]

    def role(self, run: Resource) -> str:
        """See RunService."""
        return str(run.request["executionRoleArn"])

    def timeout_seconds(self, run: Resource) -> float:
        """See RunService. 0 minutes means no limit."""
        return 60.0 * run.request.get("executionTimeoutMinutes", _TIMEOUT_MINUTES) or math.inf

    def started(self, run: Resource) -> None:
        """See RunService. Do nothing, because logs are uploaded at the end."""

    def ended(self, run: Resource) -> None:
        """See RunService. Upload the output of the driver to the monitoring URI as the service does."""
        overrides = run.request.get("configurationOverrides", {}).get("monitoringConfiguration", {})
        log_uri = overrides.get("s3MonitoringConfiguration", {}).get("logUri")
        if not log_uri:
            return
        try:
            folder = f"applications/{run.parent}/jobs/{run.name}/SPARK_DRIVER"
            for part in ("stdout", "stderr"):
                content = gzip.compress(self._processes.output(run.name, part))
                self._transfer.put(S3Uri.parse(log_uri) / f"{folder}/{part}.gz", content)
        except (NexusError, OSError) as error:
            # a missing log bucket does not change the result of the job
            log.warning("job run %s: cannot upload its logs to S3: %s", run.name, error)

    # ---- views ----------------------------------------------------------------
    def _run(self, request: dict[str, Any]) -> Resource:
        run = self._table.get(RUN, request["jobRunId"])
        if run is None or run.parent != request["applicationId"]:
            raise AwsError("ResourceNotFoundException", f"Job run {request['jobRunId']} does not exist", 404)
        return run

    def _view(self, run: Resource) -> dict[str, Any]:
        started, ended = run.detail.get("started"), run.detail.get("ended")
        view = {
            "applicationId": run.parent,
            "jobRunId": run.name,
            "arn": _arn(run),
            "createdBy": f"arn:aws:iam::{ACCOUNT}:user/local",
            "createdAt": run.created,
            "updatedAt": run.updated,
            "executionRole": run.request["executionRoleArn"],
            "state": run.state,
            "stateDetails": _short(run.detail.get("reason", "")),
            "releaseLabel": self.applications.application(run.parent).request["releaseLabel"],
            "jobDriver": run.request["jobDriver"],
            "mode": run.request.get("mode", "BATCH"),
            "attempt": 1,
            "executionTimeoutMinutes": run.request.get("executionTimeoutMinutes", _TIMEOUT_MINUTES),
            "totalExecutionDurationSeconds": int((ended or time.time()) - started) if started else 0,
        }
        view |= {"startedAt": started} if started else {}
        view |= {"endedAt": ended} if ended else {}
        for member in ("name", "configurationOverrides", "tags", "retryPolicy", "executionIamPolicy"):
            if member in run.request:
                view[member] = run.request[member]
        return view


def _refuse_unrun(request: dict[str, Any]) -> None:
    """Raise AwsError 501 for what a run would not do: repeat itself, or run as a stream."""
    attempts, mode = request.get("retryPolicy", {}).get("maxAttempts", 1), request.get("mode", "BATCH")
    if attempts > 1 or mode != "BATCH":
        what = f"maxAttempts {attempts}" if attempts > 1 else f"mode {mode}"
        raise AwsError(
            "NotImplemented", f"local_aws does not implement emr-serverless:StartJobRun: with {what}", 501
        )


def _short(reason: str) -> str:
    """Shorten a reason to the service's 256 characters: its beginning and the end of the exception."""
    return reason if len(reason) <= 256 else f"{reason[:50]} … {reason[-200:]}"


def _arn(run: Resource) -> str:
    return f"{application_arn(run.parent)}/jobruns/{run.name}"
