"""AWS Glue: the definition of a Spark job, its run, and job runs as jobs that are known by their names."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from include.aws.clients import unless
from include.aws.job_states import JobState, JobView
from include.contracts.artifacts import GLUE_REQUIREMENTS, SPARK_ARCHIVE
from include.contracts.storage import S3Uri
from include.settings import Settings

GLUE_STATES = {
    "STARTING": JobState.ACTIVE,
    "WAITING": JobState.ACTIVE,
    "RUNNING": JobState.ACTIVE,
    "STOPPING": JobState.STOPPING,
    "SUCCEEDED": JobState.COMPLETED,
    "STOPPED": JobState.STOPPED,
    "FAILED": JobState.FAILED,
    "ERROR": JobState.FAILED,
    "TIMEOUT": JobState.FAILED,
    "EXPIRED": JobState.FAILED,
}
#: The argument that carries our name of a run: Glue gives runs ids of its own and takes no token.
NAME_ARGUMENT = "--run_name"


def definition_name(settings: Settings, job: str) -> str:
    """Name of the job definition of a Spark job."""
    return f"{settings.glue.job_prefix}{job}"


def glue_job(settings: Settings, job: str, code: S3Uri, request: S3Uri) -> dict[str, Any]:
    """``{"definition": …, "arguments": …}``: what GlueJobs.submit takes for ``<code>/jobs/<job>.py``."""
    return {
        "definition": job_definition(settings, job, code),
        "arguments": {"--request": str(request)},
    }


def job_definition(settings: Settings, job: str, code: S3Uri) -> dict[str, Any]:
    """CreateJob: one run at a time and no retries of Glue's own, as both are Airflow's."""
    glue = settings.glue
    arguments = {
        "--job-language": "python",
        "--extra-py-files": str(code / SPARK_ARCHIVE),
        # a requirements file, of which the installer is told by its option
        "--additional-python-modules": str(code / GLUE_REQUIREMENTS),
        "--python-modules-installer-option": "-r",
        "--enable-continuous-cloudwatch-log": "true",
        "--enable-metrics": "true",
        "--enable-auto-scaling": "true",
    }
    if glue.spark_properties:
        # Glue takes one value: the first property, then further options in its text
        pairs = (f"{key}={value}" for key, value in glue.spark_properties.items())
        arguments["--conf"] = " --conf ".join(pairs)
    return {
        "Name": definition_name(settings, job),
        "Description": f"{job} of corpus_refresh; started by Airflow alone",
        "Role": settings.role_arn(settings.roles.glue),
        "Command": {
            "Name": "glueetl",
            "ScriptLocation": str(code / f"jobs/{job}.py"),
            "PythonVersion": "3",
        },
        "GlueVersion": glue.version,
        "WorkerType": glue.worker_type,
        "NumberOfWorkers": glue.workers,
        "Timeout": glue.timeout_minutes,
        "ExecutionClass": glue.execution_class,
        "MaxRetries": 0,
        "ExecutionProperty": {"MaxConcurrentRuns": 1},
        "DefaultArguments": arguments,
        "Tags": {"project": "nexus-llm"},
    }


class GlueJobs:
    """The runs of one job definition.

    A run carries its name as an argument, and is found by it among the definition's runs: a lookup by name
    and nothing else, however many generations there are, with three definitions in the console instead of
    three more every week. The definition allows one run at a time, so that a start which is sent twice, its
    answer being lost, starts one run.
    """

    def __init__(self, glue: Any, definition: str) -> None:
        self._glue = glue
        self._definition = definition

    def describe(self, name: str) -> JobView:
        """See Jobs."""
        run = self._find(name)
        if run is None:
            return JobView(JobState.ABSENT)
        state = run["JobRunState"]
        reason = run.get("ErrorMessage", "")
        if state == "TIMEOUT":
            reason = reason or f"not done within {run.get('Timeout')} minutes; raise glue.timeout_minutes"
        return JobView(GLUE_STATES[state], reason, run["Id"], run)

    def submit(self, name: str, request: dict[str, Any]) -> None:
        """See Jobs; ``request`` is what ``glue_job`` gives. The definition is brought up to date first."""
        self._put(request["definition"])
        arguments = {**request["arguments"], NAME_ARGUMENT: name}
        try:
            self._glue.start_job_run(JobName=self._definition, Arguments=arguments)
        except ClientError as error:
            is_busy = error.response["Error"]["Code"] == "ConcurrentRunsExceededException"
            # ours by a start whose answer was lost; otherwise another run's, which the error names
            if not is_busy or self._find(name) is None:
                raise

    def stop(self, name: str) -> None:
        """See Jobs."""
        run = self._find(name)
        if run is not None and GLUE_STATES[run["JobRunState"]] is JobState.ACTIVE:
            self._glue.batch_stop_job_run(JobName=self._definition, JobRunIds=[run["Id"]])

    def _put(self, definition: dict[str, Any]) -> None:
        is_there = ("AlreadyExistsException", "IdempotentParameterMismatchException")
        if not unless(is_there, self._glue.create_job, **definition):
            update = {key: value for key, value in definition.items() if key not in ("Name", "Tags")}
            self._glue.update_job(JobName=self._definition, JobUpdate=update)

    def _find(self, name: str) -> dict[str, Any] | None:
        pages = self._glue.get_paginator("get_job_runs").paginate(JobName=self._definition)
        try:
            for page in pages:
                for run in page["JobRuns"]:
                    if run.get("Arguments", {}).get(NAME_ARGUMENT) == name:
                        return dict(run)
        except ClientError as error:
            if error.response["Error"]["Code"] != "EntityNotFoundException":
                raise
        return None
