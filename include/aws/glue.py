"""AWS Glue: the definition of a Spark job, and its runs, which are found by their names."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from include.aws.clients import unless
from include.aws.job_states import EndedBy, JobState, JobView, known_state
from include.aws.refusals import is_capacity_failure
from include.contracts.artifacts import GLUE_REQUIREMENTS, SPARK_ARCHIVE
from include.contracts.job_names import JobIdentity
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
#: Arguments of a run with its name and the hash of its request. Glue chooses the ids of runs, accepts no
#: client token, and has no tags for runs.
NAME_ARGUMENT = "--run_name"
REQUEST_ARGUMENT = "--request_sha256"
#: The number of newest runs in which one is looked up, in one call. A definition has one run at a time, so
#: the run of a waiting task is among them.
_NEWEST_RUNS = 200


def definition_name(settings: Settings, job: str) -> str:
    """Return the name of this environment's job definition of a Spark job."""
    return f"{settings.glue.job_prefix}{settings.name}-{job}"


def glue_job(settings: Settings, job: str, code: S3Uri, request: S3Uri) -> dict[str, Any]:
    """Build ``{"definition": …, "arguments": …}``, the request of ``<code>/jobs/<job>.py``."""
    return {
        "definition": job_definition(settings, job, code),
        "arguments": {"--request": str(request)},
    }


def job_definition(settings: Settings, job: str, code: S3Uri) -> dict[str, Any]:
    """Build CreateJob with one run at a time and no retries, because Airflow decides about both."""
    glue = settings.glue
    arguments = {
        "--job-language": "python",
        "--extra-py-files": str(code / SPARK_ARCHIVE),
        # a requirements file: the installer takes it by its option
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
        "Tags": settings.tags,
    }


class GlueJobs:
    """The runs of one job definition; see ``include.aws.jobs.Jobs``.

    A run carries its name as an argument and is found by it among the newest runs of the definition. The
    definition allows one run at a time, so a start that is sent twice, because its answer was lost, starts
    one run.
    """

    def __init__(self, glue: Any, definition: str) -> None:
        self._glue = glue
        self._definition = definition

    def describe(self, name: str) -> JobView:
        """See Jobs."""
        run = self._find(name)
        if run is None:
            return JobView(JobState.ABSENT)
        state = known_state(GLUE_STATES, run["JobRunState"], "Glue job run")
        reason, ended_by = run.get("ErrorMessage", ""), EndedBy.ITSELF
        if run["JobRunState"] == "TIMEOUT":
            reason = reason or f"not done within {run.get('Timeout')} minutes; raise glue.timeout_minutes"
            ended_by = EndedBy.LIMIT
        elif state is JobState.STOPPED:
            ended_by = EndedBy.PERSON
        elif state is JobState.FAILED and is_capacity_failure(reason):
            ended_by = EndedBy.CAPACITY
        carried = run.get("Arguments", {}).get(REQUEST_ARGUMENT, "")
        return JobView(
            state, reason, run["Id"], run, job_id=run["Id"], request_sha256=carried, ended_by=ended_by
        )

    def submit(self, name: str, request: dict[str, Any], request_sha256: str) -> None:
        """See Jobs; ``request`` is the value of ``glue_job``. The definition is brought up to date first."""
        self._put(request["definition"])
        marks = {NAME_ARGUMENT: name, REQUEST_ARGUMENT: request_sha256}
        try:
            self._glue.start_job_run(JobName=self._definition, Arguments={**request["arguments"], **marks})
        except ClientError as error:
            is_busy = error.response["Error"]["Code"] == "ConcurrentRunsExceededException"
            # a run of this name was started by a call whose answer was lost; any other run must end first
            if not is_busy or self._find(name) is None:
                raise

    def stop(self, name: str) -> None:
        """See Jobs."""
        run = self._find(name)
        if run is not None and GLUE_STATES.get(run["JobRunState"], JobState.ACTIVE) is JobState.ACTIVE:
            self._glue.batch_stop_job_run(JobName=self._definition, JobRunIds=[run["Id"]])

    def active(self, identity: JobIdentity) -> list[str]:
        """See Jobs."""
        return [
            name
            for run in self._newest()
            if GLUE_STATES.get(run["JobRunState"], JobState.ACTIVE) is JobState.ACTIVE
            and identity.has_name(name := run.get("Arguments", {}).get(NAME_ARGUMENT, ""))
        ]

    def _put(self, definition: dict[str, Any]) -> None:
        is_there = ("AlreadyExistsException", "IdempotentParameterMismatchException")
        if not unless(is_there, self._glue.create_job, **definition):
            update = {key: value for key, value in definition.items() if key not in ("Name", "Tags")}
            self._glue.update_job(JobName=self._definition, JobUpdate=update)

    def _find(self, name: str) -> dict[str, Any] | None:
        runs = (run for run in self._newest() if run.get("Arguments", {}).get(NAME_ARGUMENT) == name)
        return next(runs, None)

    def _newest(self) -> list[dict[str, Any]]:
        """List the newest runs, newest first; none while the definition does not exist."""
        try:
            answer = self._glue.get_job_runs(JobName=self._definition, MaxResults=_NEWEST_RUNS)
        except ClientError as error:
            if error.response["Error"]["Code"] != "EntityNotFoundException":
                raise
            return []
        return list(answer["JobRuns"])
