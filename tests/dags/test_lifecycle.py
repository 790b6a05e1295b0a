"""Which generation a try attaches to, stops or starts: the whole table."""

from __future__ import annotations

import pytest

from include.aws.job_states import JobState
from nexus_airflow.lifecycle import Action, Attempt, JobRecord, Phase, decide, was_cleared

FIRST = Attempt(clear_number=0, max_tries=2)


def record(phase: Phase) -> JobRecord:
    return JobRecord(1, "", FIRST, phase)


@pytest.mark.parametrize(
    ("phase", "attempt", "cleared"),
    [
        (Phase.WORKER, Attempt(0, 2), False),  # a retry, after a lost worker or an error
        (Phase.DEFERRED, Attempt(0, 2), False),
        (Phase.WORKER, Attempt(1, 2), True),  # cleared while a worker ran it: max_tries stays
        (Phase.DEFERRED, Attempt(1, 3), True),  # cleared while deferred or waiting: max_tries is raised
        (Phase.DONE, Attempt(1, 3), True),
        (Phase.DEFERRED, Attempt(1, 2), False),  # another task of the run was cleared
    ],
)
def test_a_clear_is_told_from_a_retry(phase: Phase, attempt: Attempt, cleared: bool) -> None:
    assert was_cleared(record(phase), attempt) is cleared


@pytest.mark.parametrize(
    ("state", "cleared", "verified", "force", "action"),
    [
        (JobState.ABSENT, False, False, False, Action.SUBMIT),
        (JobState.ABSENT, True, False, False, Action.SUBMIT),
        (JobState.ABSENT, False, True, False, Action.REUSE),
        (JobState.ACTIVE, False, False, False, Action.ATTACH),
        (JobState.ACTIVE, True, False, False, Action.STOP_AND_ADVANCE),
        (JobState.STOPPING, False, False, False, Action.STOP_AND_ADVANCE),
        (JobState.STOPPING, True, False, False, Action.STOP_AND_ADVANCE),
        (JobState.COMPLETED, False, True, False, Action.REUSE),
        (JobState.COMPLETED, True, True, False, Action.REUSE),
        (JobState.COMPLETED, True, True, True, Action.ADVANCE),
        (JobState.COMPLETED, False, True, True, Action.REUSE),
        (JobState.COMPLETED, False, False, False, Action.ADVANCE),
        (JobState.FAILED, False, False, False, Action.ADVANCE),
        (JobState.STOPPED, True, False, False, Action.ADVANCE),
    ],
)
def test_decision(state: JobState, cleared: bool, verified: bool, force: bool, action: Action) -> None:
    assert decide(state, cleared=cleared, verified=verified, force=force) is action


def test_record_survives_the_state_store() -> None:
    kept = record(Phase.DEFERRED)
    assert JobRecord.from_store(kept.to_store()) == kept
    assert JobRecord.from_store(None) is None
