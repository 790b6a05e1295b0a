"""EMR Serverless: the application, the job run, and job runs as jobs that are known by their names."""

from __future__ import annotations

import logging
import shlex
import time
from typing import Any

from include.aws.job_states import JobState, JobView
from include.contracts.artifacts import SPARK_ARCHIVE
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
_LIVING = ["CREATING", "CREATED", "STARTING", "STARTED", "STOPPING", "STOPPED"]
_SETTLED = ("CREATED", "STARTING", "STARTED", "STOPPED")
_RESTING = ("CREATED", "STOPPED")
#: An application comes and goes in seconds where nothing is pre-initialised.
_SETTLE_SECONDS = 120.0
_PYTHON = "./environment/bin/python"


def application_request(settings: Settings) -> dict[str, Any]:
    """CreateApplication, without a token: nothing is kept warm, a job starts it, idleness stops it."""
    serverless = settings.emr_serverless
    request: dict[str, Any] = {
        "name": serverless.application,
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
        "tags": {"project": "nexus-llm"},
    }
    if serverless.subnet_ids:
        request["networkConfiguration"] = {
            "subnetIds": list(serverless.subnet_ids),
            "securityGroupIds": list(serverless.security_group_ids),
        }
    return request


def serverless_job(settings: Settings, job: str, code: S3Uri, request: S3Uri) -> dict[str, Any]:
    """``{"application": …, "run": …}``: what EmrServerlessJobs.submit takes for ``<code>/jobs/<job>.py``.

    One attempt: what happens after a failure is Airflow's to decide.
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
        "tags": {"project": "nexus-llm"},
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


class EmrServerlessJobs:
    """The job runs of the application of one name.

    The name of a job is both the run's name, by which it is found again, and its client token: submitting
    it twice gives the same run.
    """

    def __init__(self, serverless: Any, application: str) -> None:
        self._serverless = serverless
        self._application = application

    def describe(self, name: str) -> JobView:
        """See Jobs."""
        place = self._find(name)
        if place is None:
            return JobView(JobState.ABSENT)
        run = self._serverless.get_job_run(**place)["jobRun"]
        prefix = f"applications/{place['applicationId']}/jobs/{place['jobRunId']}/"
        return JobView(EMR_SERVERLESS_STATES[run["state"]], run.get("stateDetails", ""), prefix, run)

    def submit(self, name: str, request: dict[str, Any]) -> None:
        """See Jobs; ``request`` is what ``serverless_job`` gives."""
        application = self._ensure(request["application"])
        self._serverless.start_job_run(
            applicationId=application, clientToken=name, name=name, **request["run"]
        )

    def stop(self, name: str) -> None:
        """See Jobs."""
        if self.describe(name).state is not JobState.ACTIVE:
            return
        place = self._find(name)
        if place is not None:
            self._serverless.cancel_job_run(**place)

    def _find(self, name: str) -> dict[str, str] | None:
        application = self._living()
        if application is None:
            return None
        pages = self._serverless.get_paginator("list_job_runs").paginate(applicationId=application["id"])
        runs = (run for page in pages for run in page["jobRuns"])
        found = next((run["id"] for run in runs if run.get("name") == name), None)
        return {"applicationId": application["id"], "jobRunId": found} if found else None

    def _living(self) -> dict[str, Any] | None:
        pages = self._serverless.get_paginator("list_applications").paginate(states=_LIVING)
        found = (entry for page in pages for entry in page["applications"])
        return next((entry for entry in found if entry.get("name") == self._application), None)

    def _ensure(self, request: dict[str, Any]) -> str:
        """The application's id: made where there is none, changed to the settings while it rests."""
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
        """Its description, once it takes jobs; TimeoutError when it does not settle."""
        deadline = time.monotonic() + _SETTLE_SECONDS
        while True:
            found = dict(self._serverless.get_application(applicationId=application)["application"])
            if found["state"] in _SETTLED:
                return found
            if time.monotonic() > deadline:
                raise TimeoutError(f"application {application} is still {found['state']}")
            time.sleep(1.0)
