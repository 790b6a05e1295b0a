"""Jobs of SageMaker, EMR and Glue behind one face: describe, submit, stop; states are data.

A job is known by its name alone (``include.contracts.job_names``), so that whoever computes the name
can find, stop or wait for it: a retry, a trigger, a listener in another process.
"""

from __future__ import annotations

import enum
from typing import Any, Protocol

from botocore.exceptions import ClientError

from include.aws.clients import client, unless
from include.aws.emr import EmrSteps
from include.aws.emr_serverless import EmrServerlessJobs
from include.aws.glue import GlueJobs
from include.aws.job_states import JobState, JobView

#: A lost answer of an earlier call: the job of this name exists, and is ours by its name.
_EXISTS = "ResourceInUse"
#: Over already, or never there.
_OVER = ("ValidationException", "ResourceNotFound")


class JobKind(enum.StrEnum):
    """The services that run jobs."""

    TRAINING = "training"
    PROCESSING = "processing"
    EMR_STEP = "emr_step"
    EMR_SERVERLESS = "emr_serverless"
    GLUE = "glue"


SAGEMAKER_STATES = {
    "InProgress": JobState.ACTIVE,
    "Stopping": JobState.STOPPING,
    "Completed": JobState.COMPLETED,
    "Failed": JobState.FAILED,
    "Stopped": JobState.STOPPED,
}


class Jobs(Protocol):
    """The jobs of one service and scope."""

    def describe(self, name: str) -> JobView:
        """The job of this name; ABSENT when there is none."""

    def submit(self, name: str, request: dict[str, Any]) -> None:
        """Start it; when a job of this name exists already, that one is left alone."""

    def stop(self, name: str) -> None:
        """Ask an active job to stop; nothing when it is over or absent."""


def jobs_of(kind: JobKind, scope: str = "") -> Jobs:
    """The jobs of a service, in ``scope``: id of a cluster, or name of an application or job definition."""
    if kind is JobKind.TRAINING:
        return TrainingJobs(client("sagemaker"))
    if kind is JobKind.PROCESSING:
        return ProcessingJobs(client("sagemaker"))
    if kind is JobKind.EMR_SERVERLESS:
        return EmrServerlessJobs(client("emr-serverless"), scope)
    if kind is JobKind.GLUE:
        return GlueJobs(client("glue"), scope)
    return EmrSteps(client("emr"), scope)


class TrainingJobs:
    """SageMaker training jobs."""

    def __init__(self, sagemaker: Any) -> None:
        self._sagemaker = sagemaker

    def describe(self, name: str) -> JobView:
        """See Jobs."""
        try:
            raw = self._sagemaker.describe_training_job(TrainingJobName=name)
        except ClientError as error:
            return _absent_or_raise(error)
        state = SAGEMAKER_STATES[raw["TrainingJobStatus"]]
        return JobView(state, training_reason(raw), name, raw)

    def submit(self, name: str, request: dict[str, Any]) -> None:
        """See Jobs."""
        unless(_EXISTS, self._sagemaker.create_training_job, TrainingJobName=name, **request)

    def stop(self, name: str) -> None:
        """See Jobs."""
        unless(_OVER, self._sagemaker.stop_training_job, TrainingJobName=name)


class ProcessingJobs:
    """SageMaker processing jobs."""

    def __init__(self, sagemaker: Any) -> None:
        self._sagemaker = sagemaker

    def describe(self, name: str) -> JobView:
        """See Jobs."""
        try:
            raw = self._sagemaker.describe_processing_job(ProcessingJobName=name)
        except ClientError as error:
            return _absent_or_raise(error)
        reason = raw.get("FailureReason") or raw.get("ExitMessage") or ""
        return JobView(SAGEMAKER_STATES[raw["ProcessingJobStatus"]], reason, name, raw)

    def submit(self, name: str, request: dict[str, Any]) -> None:
        """See Jobs."""
        unless(_EXISTS, self._sagemaker.create_processing_job, ProcessingJobName=name, **request)

    def stop(self, name: str) -> None:
        """See Jobs."""
        unless(_OVER, self._sagemaker.stop_processing_job, ProcessingJobName=name)


def training_reason(raw: dict[str, Any]) -> str:
    """Why a training job ended as it did: the failure, or which limit stopped it."""
    if raw.get("FailureReason"):
        return str(raw["FailureReason"])
    secondary = raw.get("SecondaryStatus", "")
    limits = raw.get("StoppingCondition", {})
    if secondary == "MaxWaitTimeExceeded":
        return (
            f"MaxWaitTimeExceeded: no spot capacity within {limits.get('MaxWaitTimeInSeconds')} s of run and "
            "wait; raise max_wait_minutes, or clear the task to go on from the newest checkpoint"
        )
    if secondary == "MaxRuntimeExceeded":
        return (
            f"MaxRuntimeExceeded: not done within {limits.get('MaxRuntimeInSeconds')} s; raise "
            "max_runtime_minutes, or clear the task to go on from the newest checkpoint"
        )
    return str(secondary)


def interruptions(raw: dict[str, Any]) -> int:
    """How often spot capacity was taken away, by the job's own transitions."""
    transitions = raw.get("SecondaryStatusTransitions", ())
    return sum(1 for transition in transitions if transition["Status"] == "Interrupted")


def _absent_or_raise(error: ClientError) -> JobView:
    code = error.response["Error"]["Code"]
    if code in _OVER:
        return JobView(JobState.ABSENT)
    raise error
