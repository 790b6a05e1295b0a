"""The jobs of SageMaker, EMR, EMR Serverless and Glue behind one interface: describe, submit, stop.

A job is identified by its name (``include.contracts.job_names``). So a retry, a trigger or a listener in
another process can compute the name, and find, stop or wait for the job.
"""

from __future__ import annotations

from typing import Any, Protocol

from include.aws.clients import client
from include.aws.emr_serverless import EmrServerlessJobs
from include.aws.emr_steps import EmrSteps
from include.aws.glue import GlueJobs
from include.aws.job_states import JobKind, JobView
from include.aws.sagemaker import ProcessingJobs, TrainingJobs
from include.contracts.job_names import JobIdentity


class Jobs(Protocol):
    """The jobs of one service and scope."""

    def describe(self, name: str) -> JobView:
        """Describe the job of this name. Its state is ABSENT if there is none."""

    def submit(self, name: str, request: dict[str, Any], request_sha256: str) -> None:
        """Start a job with the hash of its request. An existing job of this name is not changed."""

    def stop(self, name: str) -> None:
        """Request the stop of an active job. Do nothing if it has ended or does not exist."""

    def active(self, identity: JobIdentity) -> list[str]:
        """List the names of the active jobs of a task, of all generations."""


def jobs_of(kind: JobKind, scope: str = "") -> Jobs:
    """Return the jobs of a service.

    :param scope: the id of a cluster, or the name of an application or job definition
    """
    if kind is JobKind.TRAINING:
        return TrainingJobs(client("sagemaker"))
    if kind is JobKind.PROCESSING:
        return ProcessingJobs(client("sagemaker"))
    if kind is JobKind.EMR_SERVERLESS:
        return EmrServerlessJobs(client("emr-serverless"), scope)
    if kind is JobKind.GLUE:
        return GlueJobs(client("glue"), scope)
    return EmrSteps(client("emr"), scope)
