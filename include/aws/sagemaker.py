"""SageMaker training and processing jobs, which are found by their names."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from include.aws.clients import unless
from include.aws.job_states import EndedBy, JobState, JobView, known_state
from include.aws.refusals import is_capacity_failure
from include.contracts.job_names import JobIdentity

#: ``Deleting`` counts as deleted: the name cannot be used again, and the job has ended.
SAGEMAKER_STATES = {
    "InProgress": JobState.ACTIVE,
    "Stopping": JobState.STOPPING,
    "Completed": JobState.COMPLETED,
    "Failed": JobState.FAILED,
    "Stopped": JobState.STOPPED,
    "Deleting": JobState.DELETED,
}
#: The environment variable that carries the hash of the request: Describe returns it, tags need another call.
REQUEST_VARIABLE = "NEXUS_REQUEST_SHA256"
#: The answer if the job of this name exists, because the answer of an earlier call was lost.
_EXISTS = "ResourceInUse"
#: The answers for a job that has ended or never existed.
_OVER = ("ValidationException", "ResourceNotFound")
_DELETED = "it was deleted outside of Airflow"


class TrainingJobs:
    """SageMaker training jobs; see ``include.aws.jobs.Jobs``."""

    def __init__(self, sagemaker: Any) -> None:
        self._sagemaker = sagemaker

    def describe(self, name: str) -> JobView:
        """See Jobs."""
        try:
            raw = self._sagemaker.describe_training_job(TrainingJobName=name)
        except ClientError as error:
            return _absent_or_raise(error)
        state = known_state(SAGEMAKER_STATES, raw["TrainingJobStatus"], "SageMaker training job")
        return _view(raw, name, state, training_reason(raw), raw.get("SecondaryStatus", "").startswith("Max"))

    def submit(self, name: str, request: dict[str, Any], request_sha256: str) -> None:
        """See Jobs."""
        marked = _marked(request, request_sha256)
        unless(_EXISTS, self._sagemaker.create_training_job, TrainingJobName=name, **marked)

    def stop(self, name: str) -> None:
        """See Jobs."""
        unless(_OVER, self._sagemaker.stop_training_job, TrainingJobName=name)

    def active(self, identity: JobIdentity) -> list[str]:
        """See Jobs."""
        pages = self._sagemaker.get_paginator("list_training_jobs").paginate(
            NameContains=identity.stem, StatusEquals="InProgress"
        )
        found = (entry["TrainingJobName"] for page in pages for entry in page["TrainingJobSummaries"])
        return [str(name) for name in found if identity.has_name(name)]


class ProcessingJobs:
    """SageMaker processing jobs; see ``include.aws.jobs.Jobs``."""

    def __init__(self, sagemaker: Any) -> None:
        self._sagemaker = sagemaker

    def describe(self, name: str) -> JobView:
        """See Jobs."""
        try:
            raw = self._sagemaker.describe_processing_job(ProcessingJobName=name)
        except ClientError as error:
            return _absent_or_raise(error)
        state = known_state(SAGEMAKER_STATES, raw["ProcessingJobStatus"], "SageMaker processing job")
        reason = raw.get("FailureReason") or raw.get("ExitMessage") or ""
        limit = _ran_out_of_time(raw)
        if state is JobState.STOPPED and limit and not reason:
            reason = f"not done within {limit} s; raise processing.max_runtime_seconds in the settings"
        return _view(raw, name, state, reason, bool(limit))

    def submit(self, name: str, request: dict[str, Any], request_sha256: str) -> None:
        """See Jobs."""
        marked = _marked(request, request_sha256)
        unless(_EXISTS, self._sagemaker.create_processing_job, ProcessingJobName=name, **marked)

    def stop(self, name: str) -> None:
        """See Jobs."""
        unless(_OVER, self._sagemaker.stop_processing_job, ProcessingJobName=name)

    def active(self, identity: JobIdentity) -> list[str]:
        """See Jobs."""
        pages = self._sagemaker.get_paginator("list_processing_jobs").paginate(
            NameContains=identity.stem, StatusEquals="InProgress"
        )
        found = (entry["ProcessingJobName"] for page in pages for entry in page["ProcessingJobSummaries"])
        return [str(name) for name in found if identity.has_name(name)]


def training_reason(raw: dict[str, Any]) -> str:
    """Return why a training job ended: its failure, or the limit that stopped it."""
    if raw.get("FailureReason"):
        return str(raw["FailureReason"])
    secondary = raw.get("SecondaryStatus", "")
    limits = raw.get("StoppingCondition", {})
    if secondary == "MaxWaitTimeExceeded":
        return (
            f"MaxWaitTimeExceeded: no spot capacity within {limits.get('MaxWaitTimeInSeconds')} s of run and "
            "wait; raise max_wait_minutes, or clear the task to resume from the newest checkpoint"
        )
    if secondary == "MaxRuntimeExceeded":
        return (
            f"MaxRuntimeExceeded: not done within {limits.get('MaxRuntimeInSeconds')} s; raise "
            "max_runtime_minutes, or clear the task to resume from the newest checkpoint"
        )
    return str(secondary)


def interruptions(raw: dict[str, Any]) -> int:
    """Count the spot interruptions of a job by its secondary status transitions."""
    transitions = raw.get("SecondaryStatusTransitions", ())
    return sum(1 for transition in transitions if transition["Status"] == "Interrupted")


def _view(raw: dict[str, Any], name: str, state: JobState, reason: str, by_limit: bool) -> JobView:
    ended_by = EndedBy.ITSELF
    if state is JobState.STOPPED:
        ended_by = EndedBy.LIMIT if by_limit else EndedBy.PERSON
    elif state is JobState.DELETED:
        ended_by, reason = EndedBy.PERSON, _DELETED
    elif state is JobState.FAILED and is_capacity_failure(reason):
        ended_by = EndedBy.CAPACITY
    return JobView(
        state,
        reason,
        log_prefix=name,
        raw=raw,
        job_id=name,
        request_sha256=raw.get("Environment", {}).get(REQUEST_VARIABLE, ""),
        ended_by=ended_by,
    )


def _ran_out_of_time(raw: dict[str, Any]) -> int:
    """Return the limit in seconds that a processing job reached; 0 for none. The service does not say it."""
    limit = int(raw.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", 0))
    started, ended = raw.get("ProcessingStartTime"), raw.get("ProcessingEndTime")
    if not limit or started is None or ended is None:
        return 0
    return limit if (ended - started).total_seconds() >= limit else 0


def _marked(request: dict[str, Any], request_sha256: str) -> dict[str, Any]:
    environment = {**request.get("Environment", {}), REQUEST_VARIABLE: request_sha256}
    return {**request, "Environment": environment}


def _absent_or_raise(error: ClientError) -> JobView:
    code = error.response["Error"]["Code"]
    if code in _OVER:
        return JobView(JobState.ABSENT)
    raise error
