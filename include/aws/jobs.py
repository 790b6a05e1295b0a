"""The jobs of SageMaker, EMR, EMR Serverless and Glue behind one interface: describe, submit, stop.

A job is known by its name (``include.contracts.job_names``), so that whoever computes the name can find it,
stop it or wait for it: a retry, a trigger, a listener in another process.
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
        """Describe the job of this name; its state is ABSENT when there is none."""

    def submit(self, name: str, request: dict[str, Any], request_sha256: str) -> None:
        """Start a job that carries the hash. A job of this name that exists already is left alone."""

    def stop(self, name: str) -> None:
        """Ask an active job to stop. Does nothing when it is over or absent."""

    def active(self, identity: JobIdentity) -> list[str]:
        """List the names of the active jobs of a task, whatever their generations."""


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
