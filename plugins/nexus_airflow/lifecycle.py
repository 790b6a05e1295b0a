"""One job per task of a run: which generation to attach to, wait for, or start. Pure decisions.

The name of a job is run + task + generation. A retry re-attaches to its generation; a clear stops what
runs and starts the next one. What a task remembers between tries is a ``JobRecord`` in Airflow's task
state store, which survives retries and clears.
"""

from __future__ import annotations

import enum
from dataclasses import asdict, dataclass
from typing import Any

from include.aws.job_states import JobState


class Phase(enum.StrEnum):
    """Where the task stood when it last wrote its record."""

    WORKER = "worker"
    DEFERRED = "deferred"
    DONE = "done"


@dataclass(frozen=True)
class Attempt:
    """What tells tries apart. Airflow raises ``clear_number`` with every clear in the run, and
    ``max_tries`` when this very task is cleared while no worker runs it."""

    clear_number: int
    max_tries: int


@dataclass(frozen=True)
class JobRecord:
    """The memory of a task; ``scope`` is where its job is looked for (``jobs_of``)."""

    generation: int
    scope: str
    attempt: Attempt
    phase: Phase

    def to_store(self) -> dict[str, Any]:
        """As JSON for the task state store."""
        return {**asdict(self), "phase": self.phase.value}

    @classmethod
    def from_store(cls, stored: Any) -> JobRecord | None:
        """From the task state store; None when nothing was stored."""
        if not isinstance(stored, dict):
            return None
        return cls(
            generation=int(stored["generation"]),
            scope=str(stored["scope"]),
            attempt=Attempt(**stored["attempt"]),
            phase=Phase(stored["phase"]),
        )


class Action(enum.StrEnum):
    """What a try does first."""

    SUBMIT = "submit this generation"
    ATTACH = "attach to the running job"
    STOP_AND_ADVANCE = "stop the running job, then start the next generation"
    ADVANCE = "start the next generation"
    REUSE = "reuse the verified output"


def was_cleared(record: JobRecord, attempt: Attempt) -> bool:
    """Whether this try follows a clear of this task, not a retry.

    A clear of another task of the run raises ``clear_number`` too. It is told apart by ``max_tries``,
    except while a worker ran the task: Airflow then leaves ``max_tries`` alone, and the doubt is
    decided for the clear, which never leaves two jobs.
    """
    if attempt.clear_number == record.attempt.clear_number:
        return False
    return attempt.max_tries != record.attempt.max_tries or record.phase is Phase.WORKER


def decide(state: JobState, *, cleared: bool, verified: bool, force: bool) -> Action:
    """What to do about the job of the present generation.

    ``verified``: its output is there and whole, or that of an earlier run where the caller takes it.
    ``force``: a clear repeats completed work too.
    """
    if state is JobState.ABSENT:
        return Action.REUSE if verified else Action.SUBMIT
    if state is JobState.ACTIVE:
        return Action.STOP_AND_ADVANCE if cleared else Action.ATTACH
    if state is JobState.STOPPING:
        return Action.STOP_AND_ADVANCE
    if state is JobState.COMPLETED and verified and not (cleared and force):
        return Action.REUSE
    return Action.ADVANCE
