"""Failures of tasks, worded for whoever opens the task in the UI."""

from __future__ import annotations

from include.contracts.errors import NexusError


class JobFailed(NexusError):
    """The AWS job of a task failed."""


class JobCancelled(NexusError):
    """A person stopped or deleted the AWS job outside of Airflow."""


class JobTimedOut(NexusError):
    """The AWS job was not done at its deadline and was stopped."""


class EngineEnded(NexusError):
    """The cluster or application that ran the job is over."""


class TaskEnded(NexusError):
    """A user ended the task (mark-failed, mark-success or clear) while its worker was at it."""


class SourceNotListed(NexusError):
    """A source of shards could not be listed."""


class RolloutFailed(NexusError):
    """The new revision did not take over."""
