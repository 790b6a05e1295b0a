"""The decisions of a try about its job: attach, stop, start or reuse."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.aws.job_states import JobState
from nexus_airflow.lifecycle import Action, Attempt, JobRecord, Phase, Situation, decide, was_cleared

FIRST = Attempt(clear_number=0, max_tries=2)


def record(phase: Phase) -> JobRecord:
    return JobRecord(1, "", FIRST, phase, "a" * 64)


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
    ("now", "action"),
    [
        (Situation(JobState.ABSENT), Action.SUBMIT),
        (Situation(JobState.ABSENT, cleared=True), Action.SUBMIT),
        (Situation(JobState.ABSENT, verified=True), Action.REUSE),
        (Situation(JobState.ABSENT, is_submitted=True), Action.REPORT),  # deleted by a person
        (Situation(JobState.ABSENT, is_submitted=True, cleared=True), Action.ADVANCE),  # its name is spent
        (Situation(JobState.ABSENT, is_submitted=True, is_settled=True), Action.ADVANCE),
        (Situation(JobState.ABSENT, is_submitted=True, same_request=False), Action.ADVANCE),
        (Situation(JobState.ACTIVE), Action.ATTACH),
        (Situation(JobState.ACTIVE, cleared=True), Action.STOP_AND_ADVANCE),
        (Situation(JobState.ACTIVE, same_request=False), Action.STOP_AND_ADVANCE),
        (Situation(JobState.ACTIVE, is_submitted=True, is_settled=True), Action.STOP_AND_ADVANCE),
        (Situation(JobState.STOPPING), Action.STOP_AND_ADVANCE),
        (Situation(JobState.STOPPING, is_submitted=True), Action.ATTACH),  # stopped by a person
        (Situation(JobState.STOPPING, is_submitted=True, is_settled=True), Action.STOP_AND_ADVANCE),
        (Situation(JobState.STOPPING, cleared=True), Action.STOP_AND_ADVANCE),
        (Situation(JobState.COMPLETED, verified=True), Action.REUSE),
        (Situation(JobState.COMPLETED, verified=True, same_request=False), Action.ADVANCE),
        (Situation(JobState.COMPLETED, verified=True, cleared=True), Action.REUSE),
        (Situation(JobState.COMPLETED, verified=True, cleared=True, force=True), Action.ADVANCE),
        (Situation(JobState.COMPLETED, verified=True, force=True), Action.REUSE),
        (Situation(JobState.COMPLETED), Action.ADVANCE),
        (Situation(JobState.COMPLETED, is_submitted=True), Action.REPORT),
        (Situation(JobState.COMPLETED, is_submitted=True, verified=True), Action.REUSE),
        (Situation(JobState.FAILED), Action.ADVANCE),
        (Situation(JobState.FAILED, is_submitted=True), Action.REPORT),
        (Situation(JobState.FAILED, is_submitted=True, is_settled=True), Action.ADVANCE),
        (Situation(JobState.STOPPED, is_submitted=True), Action.REPORT),
        (Situation(JobState.STOPPED, is_submitted=True, cleared=True), Action.ADVANCE),
        (Situation(JobState.STOPPED, is_submitted=True, same_request=False), Action.ADVANCE),
        (Situation(JobState.STOPPED, cleared=True), Action.ADVANCE),
        (Situation(JobState.DELETED), Action.ADVANCE),
        (Situation(JobState.DELETED, cleared=True, verified=True), Action.ADVANCE),
    ],
)
def test_decision(now: Situation, action: Action) -> None:
    assert decide(now) is action


SITUATIONS = st.builds(
    Situation,
    state=st.sampled_from(JobState),
    same_request=st.booleans(),
    is_submitted=st.booleans(),
    is_settled=st.booleans(),
    cleared=st.booleans(),
    verified=st.booleans(),
    force=st.booleans(),
)


@given(SITUATIONS)
def test_a_job_of_another_request_is_never_taken_and_two_never_run(now: Situation) -> None:
    action = decide(now)
    if not now.same_request and now.state is not JobState.ABSENT:
        assert action not in (Action.REUSE, Action.ATTACH)
    if now.state.may_change:
        assert action in (Action.ATTACH, Action.STOP_AND_ADVANCE), "another one would start beside it"
    if action is Action.SUBMIT:
        assert now.state is JobState.ABSENT and not now.is_submitted
    if action is Action.REUSE:
        assert now.verified
    if action is Action.ADVANCE and now.is_submitted and now.same_request:
        assert now.is_settled or now.cleared, "the end of the job would not be reported"


def test_record_survives_the_state_store() -> None:
    kept = record(Phase.DEFERRED)
    assert JobRecord.from_store(kept.to_store()) == kept
    assert JobRecord.from_store(None) is None
    assert JobRecord.from_store({"generation": 1, "of another": "release"}) is None
