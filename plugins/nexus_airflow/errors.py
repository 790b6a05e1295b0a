"""Errors of tasks. Their messages are for the person who opens the task in the UI."""

from __future__ import annotations

from include.contracts.errors import NexusError


class JobFailed(NexusError):
    """Raised if the AWS job of a task failed."""


class JobCancelled(NexusError):
    """Raised if a person stopped or deleted the AWS job outside of Airflow."""


class JobTimedOut(NexusError):
    """Raised if the AWS job was stopped at its deadline."""


class EngineEnded(NexusError):
    """Raised if the cluster or application of the job has ended."""


class TaskEnded(NexusError):
    """Raised if a user ended the task (mark-failed, mark-success or clear) while a worker ran it."""


class WorkerStopped(NexusError):
    """Raised if the worker of a task that waits there is shut down. The job goes on, and a retry attaches."""


class OrphanedJobs(NexusError):
    """Raised if jobs of a run that has ended or was deleted still run. Their stop was requested."""


class SourceNotListed(NexusError):
    """Raised if a source of shards could not be listed."""


class RolloutFailed(NexusError):
    """Raised if the new revision was not deployed."""
