"""Decides, as pure functions, what a try does with the job of its task: attach, wait, or start the next one.

The name of a job consists of its identity and a generation. A retry attaches to its generation, and reports
its end if no try has done so. A clear or a changed request stops the job and starts the next generation. A
task keeps a ``JobRecord`` between tries in Airflow's task state store, which survives retries and clears.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from include.aws.job_states import JobState, JobView
from include.contracts.errors import ContractError
from include.contracts.records import from_plain, to_plain


class Phase(enum.StrEnum):
    """The step of the task at which it last wrote its record."""

    WORKER = "worker"
    DEFERRED = "deferred"
    DONE = "done"


@dataclass(frozen=True)
class Attempt:
    """Airflow's counters, which distinguish tries.

    Airflow increases ``clear_number`` with every clear in the run, and ``max_tries`` if this task is cleared
    while no worker runs it.
    """

    clear_number: int
    max_tries: int


@dataclass(frozen=True)
class JobRecord:
    """The record that a task keeps between its tries.

    ``scope`` is the scope of its job, and ``request_sha256`` the hash of the job's request. ``is_submitted``
    is True after the service has accepted the job. At ``deadline`` (seconds since 1970) the task stops the
    job. ``is_settled`` is True if the end of this generation needs no report: a try has reported it, or the
    task itself stopped the job to start the next one.
    """

    generation: int
    scope: str
    attempt: Attempt
    phase: Phase
    request_sha256: str
    is_submitted: bool = False
    deadline: float = 0.0
    is_settled: bool = False

    def to_store(self) -> dict[str, Any]:
        """Return the record as JSON for the task state store."""
        plain: dict[str, Any] = to_plain(self)
        return plain

    @classmethod
    def from_store(cls, stored: Any) -> JobRecord | None:
        """Read a record of the task state store. Return None if there is none, or one of another release."""
        if not isinstance(stored, dict):
            return None
        try:
            return from_plain(cls, stored, where="task state store")
        except ContractError:
            return None


class Action(enum.StrEnum):
    """The first thing that a try does."""

    SUBMIT = "submit this generation"
    ATTACH = "attach to the running job"
    STOP_AND_ADVANCE = "stop the running job, then start the next generation"
    ADVANCE = "go on to the next generation"
    REUSE = "reuse the verified output"
    REPORT = "report the end of the job"


def was_cleared(record: JobRecord, attempt: Attempt) -> bool:
    """Return True if this try follows a clear of this task, not a retry.

    A clear of another task of the run increases ``clear_number`` too. ``max_tries`` distinguishes them,
    except if a worker ran the task: then Airflow does not change ``max_tries``. That case counts as a clear,
    after which there are never two jobs.
    """
    if attempt.clear_number == record.attempt.clear_number:
        return False
    return attempt.max_tries != record.attempt.max_tries or record.phase is Phase.WORKER


@dataclass(frozen=True)
class Situation:
    """The facts that decide about the job of the present generation.

    ``same_request``: the job was started for the present request of the task; for a job that is absent, by
    the task's record. ``is_submitted``: by that record, the service has accepted the job. ``is_settled``: its
    end needs no report. ``cleared``: this try follows a clear. ``verified``: there is complete output, of the
    job or of an earlier run if the caller reuses it. ``force``: a clear repeats completed work too.
    """

    state: JobState
    same_request: bool = True
    is_submitted: bool = False
    is_settled: bool = False
    cleared: bool = False
    verified: bool = False
    force: bool = False


def decide(now: Situation) -> Action:
    """Decide what to do about the job of the present generation."""
    is_current = now.same_request and not now.cleared and not now.is_settled
    # without a report, a retry after a lost worker would repeat a job that a person has cancelled
    needs_report = now.is_submitted and is_current
    if now.state.may_change:
        is_ours = is_current and (now.state is JobState.ACTIVE or needs_report)
        return Action.ATTACH if is_ours else Action.STOP_AND_ADVANCE
    if now.state is JobState.ABSENT:
        if now.verified:
            return Action.REUSE
        if not now.is_submitted:
            return Action.SUBMIT
    elif now.state is JobState.COMPLETED and now.same_request and now.verified:
        if not (now.cleared and now.force):
            return Action.REUSE
    # a name is not used twice: the service may refuse it, or may still be deleting the job
    return Action.REPORT if needs_report else Action.ADVANCE


def is_for(view: JobView, request_sha256: str) -> bool:
    """Return True if a job was started for exactly this request. A job without a hash was not."""
    return view.request_sha256 == request_sha256
