"""Failures of tasks, worded for whoever opens the task in the UI."""

from __future__ import annotations

from include.contracts.errors import NexusError


class JobFailed(NexusError):
    """The AWS job of a task ended otherwise than completed."""


class TaskEnded(NexusError):
    """A user ended the task (mark-failed, mark-success or clear) while its worker was at it."""


class SourceUnseen(NexusError):
    """Nobody could look what lies in a source of shards."""


class RolloutFailed(NexusError):
    """The new revision did not take over; the old one serves on."""
