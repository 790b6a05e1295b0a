"""Errors of jobs that did not complete, by the cause of their end."""

from __future__ import annotations

from include.aws.job_states import EndedBy, JobView
from include.contracts.errors import NexusError
from nexus_airflow.errors import EngineEnded, JobCancelled, JobFailed, JobTimedOut

#: The job of a task is planned once, so a clear of the task alone repeats it with the old settings.
RAISE_LIMIT = (
    "clear this task to go on with the same limit; for a longer one, raise it in the settings and clear plan "
    "with Downstream"
)

#: For each cause of an end: the error, its message, and the remedy.
_ENDS: dict[EndedBy, tuple[type[NexusError], str, str]] = {
    EndedBy.ITSELF: (JobFailed, "the job failed", "read the job's log; a retry or clear starts it again"),
    EndedBy.LIMIT: (JobTimedOut, "the job reached its limit", RAISE_LIMIT),
    EndedBy.PERSON: (
        JobCancelled,
        "the job was cancelled outside of Airflow",
        "clear this task to start the job again",
    ),
    EndedBy.ENGINE: (EngineEnded, "the cluster of the job ended", "start the engine again, with Downstream"),
    EndedBy.CAPACITY: (JobFailed, "the service has no capacity", "clear this task to try again"),
}


def job_failure(name: str, view: JobView) -> NexusError:
    """Return the error of the job ``name``, which has ended without success."""
    kind, what, remedy = _ENDS[view.ended_by]
    return kind(
        f"{what} ({view.state.value})",
        where=name,
        expected="completed",
        got=view.reason or "no reason given",
        remedy=view.remedy or remedy,
    )


def job_timeout(name: str, view: JobView, limit_seconds: int) -> NexusError:
    """Return the error of a job that its task stopped at the deadline."""
    return JobTimedOut(
        f"the job was not done within {limit_seconds / 3600:.1f} h and was stopped",
        where=name,
        got=view.reason,
        remedy=f"read the job's log; {RAISE_LIMIT}",
    )
