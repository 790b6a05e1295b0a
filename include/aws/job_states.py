"""What the caller of a job must know of it, whichever service runs it."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any


class JobState(enum.StrEnum):
    """Where a job stands."""

    ABSENT = "absent"
    ACTIVE = "active"
    STOPPING = "stopping"
    COMPLETED = "completed"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def is_terminal(self) -> bool:
        """Whether the job will never change again."""
        return self in (JobState.COMPLETED, JobState.FAILED, JobState.STOPPED)


@dataclass(frozen=True)
class JobView:
    """A job as its service describes it; ``reason`` is readable, ``raw`` is the service's answer.

    ``log_prefix`` tells the job's log from those of others: below the log URI in S3, or by the names of the
    streams in CloudWatch. ``remedy`` is what to do about a failure, where it is not what helps any job.
    """

    state: JobState
    reason: str = ""
    log_prefix: str = ""
    raw: dict[str, Any] = field(default_factory=dict)
    remedy: str = ""
