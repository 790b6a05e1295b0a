"""The life of one AWS job under one task, as pure decisions: attach, wait, or start the next one.

The name of a job is its identity and a generation. A retry re-attaches to its generation; a clear stops what
runs and starts the next one; a changed request does so too. A task remembers a ``JobRecord`` between tries
in Airflow's task state store, which survives retries and clears.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from include.aws.job_states import JobState, JobView
from include.contracts.errors import ContractError
from include.contracts.records import from_plain, to_plain


class Phase(enum.StrEnum):
    """The place of the task when it last wrote its record."""

    WORKER = "worker"
    DEFERRED = "deferred"
    DONE = "done"


@dataclass(frozen=True)
class Attempt:
    """The counters that tell tries apart.

    Airflow raises ``clear_number`` with every clear in the run, and ``max_tries`` when this very task is
    cleared while no worker runs it.
    """

    clear_number: int
    max_tries: int


@dataclass(frozen=True)
class JobRecord:
    """The memory of a task between its tries.

    ``scope`` is where its job is looked for, ``request_sha256`` the hash of the request it was started for.
    ``is_submitted`` is set once the service has taken the job; ``deadline`` (epoch seconds) is when the task
    stops it.
    """

    generation: int
    scope: str
    attempt: Attempt
    phase: Phase
    request_sha256: str
    is_submitted: bool = False
    deadline: float = 0.0

    def to_store(self) -> dict[str, Any]:
        """Return the record as JSON for the task state store."""
        plain: dict[str, Any] = to_plain(self)
        return plain

    @classmethod
    def from_store(cls, stored: Any) -> JobRecord | None:
        """Read a record of the task state store; None when nothing was stored, or by another release."""
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


def was_cleared(record: JobRecord, attempt: Attempt) -> bool:
    """Return True if this try follows a clear of this task, not a retry.

    A clear of another task of the run raises ``clear_number`` too. ``max_tries`` tells them apart, except
    while a worker ran the task: Airflow then leaves ``max_tries`` alone. That case counts as a clear, which
    never leaves two jobs.
    """
    if attempt.clear_number == record.attempt.clear_number:
        return False
    return attempt.max_tries != record.attempt.max_tries or record.phase is Phase.WORKER


@dataclass(frozen=True)
class Situation:
    """Everything that decides about the job of the present generation.

    ``same_request``: the job was started for the request that the task has now. ``is_submitted``: the task
    remembers that the service took the job. ``cleared``: this try follows a clear. ``verified``: complete
    output is there, of the job or of an earlier run where the caller takes it. ``force``: a clear repeats
    completed work too.
    """

    state: JobState
    same_request: bool = True
    is_submitted: bool = False
    cleared: bool = False
    verified: bool = False
    force: bool = False


def decide(now: Situation) -> Action:
    """Decide what to do about the job of the present generation."""
    if now.state is JobState.ABSENT:
        if now.verified:
            return Action.REUSE
        # a name that was spent is not used again: the service may refuse it or still be deleting the job
        return Action.ADVANCE if now.is_submitted else Action.SUBMIT
    if now.state.may_change:
        is_ours = now.state is JobState.ACTIVE and now.same_request
        return Action.ATTACH if is_ours and not now.cleared else Action.STOP_AND_ADVANCE
    is_reusable = now.state is JobState.COMPLETED and now.same_request and now.verified
    return Action.REUSE if is_reusable and not (now.cleared and now.force) else Action.ADVANCE


def is_for(view: JobView, request_sha256: str) -> bool:
    """Return True if a job was started for exactly this request; a job without a hash was not."""
    return view.request_sha256 == request_sha256
