"""EMR Serverless: the application, and its job runs, which are found by their names."""

from __future__ import annotations

import logging
import shlex
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from weakref import WeakKeyDictionary

from include.aws.job_states import EndedBy, JobState, JobView, known_state
from include.aws.refusals import is_capacity_failure
from include.contracts.artifacts import SPARK_ARCHIVE
from include.contracts.errors import NexusError
from include.contracts.job_names import JobIdentity
from include.contracts.records import content_hash
from include.contracts.storage import S3Uri
from include.settings import Settings

log = logging.getLogger(__name__)

EMR_SERVERLESS_STATES = {
    "SUBMITTED": JobState.ACTIVE,
    "PENDING": JobState.ACTIVE,
    "SCHEDULED": JobState.ACTIVE,
    "QUEUED": JobState.ACTIVE,
    "RUNNING": JobState.ACTIVE,
    "CANCELLING": JobState.STOPPING,
    "SUCCESS": JobState.COMPLETED,
    "FAILED": JobState.FAILED,
    "CANCELLED": JobState.STOPPED,
}
#: The states of an application: True if it accepts job runs.
APPLICATION_STATES = {
    "CREATING": False,
    "CREATED": True,
    "STARTING": True,
    "STARTED": True,
    "STOPPING": False,
    "STOPPED": True,
    "TERMINATED": False,
}
#: The states of an application that is not terminated.
_EXISTING = [state for state in APPLICATION_STATES if state != "TERMINATED"]
_RESTING = ("CREATED", "STOPPED")
#: The tag of a job run that carries the hash of its request.
_REQUEST_TAG = "request"
#: A job run is looked up among those of this period, which is longer than any DAG run.
_SEARCH = timedelta(days=14)
#: An application without pre-initialised capacity starts and stops in seconds.
_SETTLE_SECONDS = 120.0
_PYTHON = "./environment/bin/python"
#: The ids of job runs, by client, application and name. They never change.
_RUN_IDS: WeakKeyDictionary[Any, dict[tuple[str, str], str]] = WeakKeyDictionary()


def application_name(settings: Settings) -> str:
    """Return the name of this environment's application."""
    return settings.qualified(settings.emr_serverless.application)


def application_request(settings: Settings) -> dict[str, Any]:
    """Build CreateApplication, without its token. A job starts the application; it stops when idle."""
    serverless = settings.emr_serverless
    request: dict[str, Any] = {
        "name": application_name(settings),
        "releaseLabel": serverless.release,
        "type": "SPARK",
        "architecture": "X86_64",
        "autoStartConfiguration": {"enabled": True},
        "autoStopConfiguration": {
            "enabled": True,
            "idleTimeoutMinutes": serverless.idle_timeout_minutes,
        },
        "maximumCapacity": {
            "cpu": f"{serverless.maximum_vcpu} vCPU",
            "memory": f"{serverless.maximum_memory_gb} GB",
        },
        "tags": settings.tags,
    }
    if serverless.subnet_ids:
        request["networkConfiguration"] = {
            "subnetIds": list(serverless.subnet_ids),
            "securityGroupIds": list(serverless.security_group_ids),
        }
    return request


def serverless_job(settings: Settings, job: str, code: S3Uri, request: S3Uri) -> dict[str, Any]:
    """Build ``{"application": …, "run": …}``, the request of ``<code>/jobs/<job>.py``.

    The run has one attempt, because Airflow decides about retries.
    """
    serverless = settings.emr_serverless
    parameters = ["--py-files", str(code / SPARK_ARCHIVE)]
    for key, value in (_python_properties(serverless.python_archive) | serverless.spark_properties).items():
        parameters += ["--conf", f"{key}={value}"]
    run = {
        "executionRoleArn": settings.role_arn(settings.roles.emr_serverless),
        "jobDriver": {
            "sparkSubmit": {
                "entryPoint": str(code / f"jobs/{job}.py"),
                "entryPointArguments": ["--request", str(request)],
                "sparkSubmitParameters": shlex.join(parameters),
            }
        },
        "configurationOverrides": {
            "monitoringConfiguration": {"s3MonitoringConfiguration": {"logUri": serverless.log_uri}}
        },
        "executionTimeoutMinutes": serverless.execution_timeout_minutes,
        "mode": "BATCH",
        "retryPolicy": {"maxAttempts": 1},
        "tags": settings.tags,
    }
    return {"application": application_request(settings), "run": run}


def _python_properties(archive: str) -> dict[str, str]:
    if not archive:
        return {}
    return {
        "spark.archives": f"{archive}#environment",
        "spark.emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON": _PYTHON,
        "spark.emr-serverless.driverEnv.PYSPARK_PYTHON": _PYTHON,
        "spark.executorEnv.PYSPARK_PYTHON": _PYTHON,
    }


class ApplicationNotReady(NexusError):
    """Raised if an application stays in a state in which it accepts no jobs. A later try may succeed."""


class EmrServerlessJobs:
    """The job runs of the application of one name; see ``include.aws.jobs.Jobs``.

    The name of a job is the run's name, by which it is found again. The client token is made of name and
    request: the same submission sent twice gives the same run, another request never does.
    """

    def __init__(self, serverless: Any, application: str) -> None:
        self._serverless = serverless
        self._application = application

    def describe(self, name: str) -> JobView:
        """See Jobs."""
        found = self._find(name)
        if found is None:
            return JobView(JobState.ABSENT)
        run = self._serverless.get_job_run(**found)["jobRun"]
        prefix = f"applications/{found['applicationId']}/jobs/{found['jobRunId']}/"
        state, reason = known_state(EMR_SERVERLESS_STATES, run["state"], "EMR Serverless job run"), ""
        ended_by = EndedBy.ITSELF
        if state is JobState.STOPPED:
            limit = _ran_out_of_time(run)
            ended_by = EndedBy.LIMIT if limit else EndedBy.PERSON
            reason = f"not done within {limit} minutes; raise emr_serverless.execution_timeout_minutes"
            reason = reason if limit else ""
        elif state is JobState.FAILED and is_capacity_failure(run.get("stateDetails", "")):
            ended_by = EndedBy.CAPACITY
        return JobView(
            state,
            reason or run.get("stateDetails", ""),
            prefix,
            run,
            job_id=found["jobRunId"],
            request_sha256=run.get("tags", {}).get(_REQUEST_TAG, ""),
            ended_by=ended_by,
        )

    def submit(self, name: str, request: dict[str, Any], request_sha256: str) -> None:
        """See Jobs; ``request`` is the value of ``serverless_job``."""
        application = self._ensure(request["application"])
        run = request["run"]
        self._serverless.start_job_run(
            applicationId=application,
            clientToken=content_hash(f"{name} {request_sha256}".encode()),
            name=name,
            **run | {"tags": {**run.get("tags", {}), _REQUEST_TAG: request_sha256}},
        )

    def stop(self, name: str) -> None:
        """See Jobs."""
        found = self._find(name)
        if found is None:
            return
        state = self._serverless.get_job_run(**found)["jobRun"]["state"]
        if EMR_SERVERLESS_STATES.get(state, JobState.ACTIVE) is JobState.ACTIVE:
            self._serverless.cancel_job_run(**found)

    def active(self, identity: JobIdentity) -> list[str]:
        """See Jobs."""
        application = self._living()
        if application is None:
            return []
        states = [state for state, meaning in EMR_SERVERLESS_STATES.items() if meaning is JobState.ACTIVE]
        names = (run.get("name", "") for run in self._runs(application["id"], states=states))
        return [name for name in names if identity.has_name(name)]

    def _find(self, name: str) -> dict[str, str] | None:
        application = self._living()
        if application is None:
            return None
        known = _RUN_IDS.setdefault(self._serverless, {})
        key = (str(application["id"]), name)
        if key not in known:
            # the service cannot be asked for a name, so the runs are listed, but only once in a process
            runs = self._runs(application["id"], createdAtAfter=datetime.now(UTC) - _SEARCH)
            found = next((run["id"] for run in runs if run.get("name") == name), None)
            if found is None:
                return None
            known[key] = str(found)
        return {"applicationId": application["id"], "jobRunId": known[key]}

    def _runs(self, application: str, **bounds: Any) -> Iterator[dict[str, Any]]:
        pages = self._serverless.get_paginator("list_job_runs").paginate(applicationId=application, **bounds)
        return (run for page in pages for run in page["jobRuns"])

    def _living(self) -> dict[str, Any] | None:
        # the service cannot be asked for a name, and keeps applications until they are deleted: few exist
        pages = self._serverless.get_paginator("list_applications").paginate(states=_EXISTING)
        found = (entry for page in pages for entry in page["applications"])
        return next((entry for entry in found if entry.get("name") == self._application), None)

    def _ensure(self, request: dict[str, Any]) -> str:
        """Return the application's id. Create it if there is none, or update it if it is stopped."""
        known = self._living()
        if known is None:
            application = str(self._serverless.create_application(**request)["applicationId"])
        else:
            application = str(known["id"])
        found = self._settled(application)
        wanted = {key: value for key, value in request.items() if key not in ("name", "type", "tags")}
        changed = sorted(key for key, value in wanted.items() if found.get(key) != value)
        if changed and found["state"] in _RESTING:
            self._serverless.update_application(applicationId=application, **wanted)
        elif changed:
            what = "application %s is %s: %s of the settings apply once it has stopped"
            log.warning(what, application, found["state"], ", ".join(changed))
        return application

    def _settled(self, application: str) -> dict[str, Any]:
        """Wait until the application accepts jobs, and return its description. Raises ApplicationNotReady."""
        deadline = time.monotonic() + _SETTLE_SECONDS
        while True:
            found = dict(self._serverless.get_application(applicationId=application)["application"])
            if known_state(APPLICATION_STATES, found["state"], "EMR Serverless application"):
                return found
            if time.monotonic() > deadline:
                accepting = [state for state, accepts in APPLICATION_STATES.items() if accepts]
                details = found.get("stateDetails", "")
                raise ApplicationNotReady(
                    f"the application accepts no jobs after {_SETTLE_SECONDS:.0f} seconds",
                    where=f"EMR Serverless application {self._application} ({application})",
                    expected=f"one of {', '.join(accepting)}",
                    got=f"{found['state']}: {details}" if details else found["state"],
                    remedy="look at it in the EMR console; the task is tried again, and clearing it does too",
                )
            time.sleep(1.0)


def _ran_out_of_time(run: dict[str, Any]) -> int:
    """Return the limit in minutes that a cancelled run reached; 0 for none. The service does not say it."""
    limit = int(run.get("executionTimeoutMinutes", 0))
    started, ended = run.get("startedAt") or run["createdAt"], run.get("endedAt") or run["updatedAt"]
    return limit if limit and ended - started >= timedelta(minutes=limit) else 0
