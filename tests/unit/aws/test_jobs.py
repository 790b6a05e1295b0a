"""The states of AWS's services: every one in botocore's models has a meaning, an unknown one is named."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from include.aws import emr_serverless
from include.aws.emr_cluster import CLUSTER_STATES
from include.aws.emr_serverless import (
    APPLICATION_STATES,
    EMR_SERVERLESS_STATES,
    ApplicationNotReady,
    EmrServerlessJobs,
)
from include.aws.emr_steps import EMR_STEP_STATES, EmrSteps, StepNotCancelled
from include.aws.glue import GLUE_STATES, GlueJobs
from include.aws.job_states import EndedBy, JobState, JobView, UnknownState, known_state
from include.aws.rollouts import ROLLOUT_STATES, Rollouts, rollout_reason
from include.aws.sagemaker import (
    SAGEMAKER_STATES,
    ProcessingJobs,
    TrainingJobs,
    interruptions,
    training_reason,
)


def states_of(service: str, shape: str) -> set[str]:
    """Return the values of an enum in botocore's model of a service."""
    model = boto3.client(service, region_name="us-east-1").meta.service_model
    return set(model.shape_for(shape).enum)


@pytest.mark.parametrize(
    ("table", "service", "shape"),
    [
        (SAGEMAKER_STATES, "sagemaker", "TrainingJobStatus"),
        (SAGEMAKER_STATES, "sagemaker", "ProcessingJobStatus"),
        (EMR_STEP_STATES, "emr", "StepState"),
        (CLUSTER_STATES, "emr", "ClusterState"),
        (EMR_SERVERLESS_STATES, "emr-serverless", "JobRunState"),
        (APPLICATION_STATES, "emr-serverless", "ApplicationState"),
        (GLUE_STATES, "glue", "JobRunState"),
        (ROLLOUT_STATES, "ecs", "ServiceDeploymentStatus"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_state_of_the_service_has_a_meaning(
    table: Mapping[str, object], service: str, shape: str
) -> None:
    assert states_of(service, shape) <= set(table)


def test_no_state_is_in_a_table_that_no_service_has() -> None:
    sagemaker = states_of("sagemaker", "TrainingJobStatus") | states_of("sagemaker", "ProcessingJobStatus")
    assert set(SAGEMAKER_STATES) == sagemaker
    assert set(GLUE_STATES) == states_of("glue", "JobRunState")


class Answers:
    """A service that answers each operation with what it was given."""

    def __init__(self, **answers: Any) -> None:
        self._answers = answers
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, operation: str) -> Any:
        def call(**request: Any) -> Any:
            self.calls.append((operation, request))
            return self._answers[operation]

        return call

    def get_paginator(self, operation: str) -> Any:
        return type("Pages", (), {"paginate": lambda _, **request: [getattr(self, operation)(**request)]})()


def step(state: str, cluster: str = "RUNNING", **status: Any) -> JobView:
    steps = Answers(
        list_steps={"Steps": [{"Name": "a-g1", "Id": "s-1"}]},
        describe_step={"Step": {"Status": {"State": state, **status}}},
        describe_cluster={"Cluster": {"Status": {"State": cluster}}},
    )
    return EmrSteps(steps, "j-1").describe("a-g1")


def serverless(state: str, **run: Any) -> JobView:
    now = datetime.now(UTC)
    run = {"createdAt": now, "updatedAt": now, **run}
    answers = Answers(
        list_applications={"applications": [{"id": "00a", "name": "app"}]},
        list_job_runs={"jobRuns": [{"id": "00r", "name": "a-g1"}]},
        get_job_run={"jobRun": {"state": state, **run}},
    )
    return EmrServerlessJobs(answers, "app").describe("a-g1")


def glue(state: str, **run: Any) -> JobView:
    run = {"JobRunState": state, "Id": "jr", "Arguments": {"--run_name": "a-g1"}, **run}
    return GlueJobs(Answers(get_job_runs={"JobRuns": [run]}), "clean").describe("a-g1")


def training(state: str, **raw: Any) -> JobView:
    answers = Answers(describe_training_job={"TrainingJobStatus": state, **raw})
    return TrainingJobs(answers).describe("a-g1")


def processing(state: str, **raw: Any) -> JobView:
    answers = Answers(describe_processing_job={"ProcessingJobStatus": state, **raw})
    return ProcessingJobs(answers).describe("a-g1")


@pytest.mark.parametrize("describe", [step, serverless, glue, training, processing])
def test_a_state_of_a_later_release_of_the_service_is_an_error_that_names_it(describe: Any) -> None:
    with pytest.raises(UnknownState, match="HIBERNATING"):
        describe("HIBERNATING")


def test_an_unknown_state_of_a_deployment_is_named() -> None:
    ecs = Answers(describe_service_deployments={"serviceDeployments": [{"status": "PAUSED"}]})
    with pytest.raises(UnknownState, match=r"ECS service deployment.*expected one of PENDING.*got PAUSED"):
        Rollouts("c", "s", ecs).look("arn:d")


LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("view", "ended_by"),
    [
        (training("Stopped", SecondaryStatus="Stopped"), EndedBy.PERSON),
        (training("Stopped", SecondaryStatus="MaxWaitTimeExceeded"), EndedBy.LIMIT),
        (training("Stopped", SecondaryStatus="MaxRuntimeExceeded"), EndedBy.LIMIT),
        (training("Deleting"), EndedBy.PERSON),
        (training("Failed", FailureReason="AlgorithmError: exit 1"), EndedBy.ITSELF),
        (training("Failed", FailureReason="CapacityError: Unable to provision"), EndedBy.CAPACITY),
        (processing("Stopped", StoppingCondition={"MaxRuntimeInSeconds": 60}), EndedBy.PERSON),
        (
            processing(
                "Stopped",
                StoppingCondition={"MaxRuntimeInSeconds": 60},
                ProcessingStartTime=LONG_AGO,
                ProcessingEndTime=LONG_AGO + timedelta(seconds=61),
            ),
            EndedBy.LIMIT,
        ),
        (step("CANCELLED"), EndedBy.PERSON),
        (step("CANCELLED", cluster="TERMINATED"), EndedBy.ENGINE),
        (step("INTERRUPTED", cluster="TERMINATING"), EndedBy.ENGINE),
        (step("FAILED"), EndedBy.ITSELF),
        (serverless("CANCELLED", executionTimeoutMinutes=720), EndedBy.PERSON),
        (
            serverless("CANCELLED", executionTimeoutMinutes=5, startedAt=LONG_AGO, endedAt=datetime.now(UTC)),
            EndedBy.LIMIT,
        ),
        (serverless("FAILED", stateDetails="exceeded maximumCapacity settings"), EndedBy.CAPACITY),
        (serverless("FAILED", stateDetails="exit code 1"), EndedBy.ITSELF),
        (glue("STOPPED"), EndedBy.PERSON),
        (glue("TIMEOUT", Timeout=60), EndedBy.LIMIT),
        (glue("ERROR", ErrorMessage="KeyError"), EndedBy.ITSELF),
    ],
)
def test_the_cause_of_an_end_decides_who_goes_on(view: JobView, ended_by: EndedBy) -> None:
    assert view.ended_by is ended_by
    assert not view.state.may_change


def test_a_limit_that_the_service_does_not_name_is_named() -> None:
    assert "raise glue.timeout_minutes" in glue("TIMEOUT", Timeout=60).reason
    cancelled = serverless(
        "CANCELLED", executionTimeoutMinutes=5, startedAt=LONG_AGO, endedAt=datetime.now(UTC)
    )
    assert "not done within 5 minutes" in cancelled.reason


@pytest.mark.parametrize("secondary", ["MaxWaitTimeExceeded", "MaxRuntimeExceeded"])
def test_a_limit_that_stopped_the_job_is_named_with_the_next_step(secondary: str) -> None:
    raw = {
        "SecondaryStatus": secondary,
        "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 120},
    }
    reason = training_reason(raw)
    assert secondary in reason
    assert "clear the task" in reason


def test_interruptions_are_counted_from_the_transitions() -> None:
    statuses = ["Starting", "Training", "Interrupted", "Starting", "Interrupted", "Training"]
    assert interruptions({"SecondaryStatusTransitions": [{"Status": status} for status in statuses]}) == 2


def test_rollout_reason_tells_everything_once() -> None:
    reason = rollout_reason(
        {
            "statusReason": "tasks failed to start",
            "deploymentCircuitBreaker": {"status": "TRIGGERED", "failureCount": 3, "threshold": 3},
            "rollback": {"reason": "tasks failed to start"},
        }
    )
    assert reason == "tasks failed to start; circuit breaker after 3 failed tasks (threshold 3)"


class Step:
    """A step of one cluster that is in each of ``states`` in turn; cancelling it is answered by ``info``."""

    def __init__(self, states: list[str], **info: str) -> None:
        self._states, self._info = states, info

    def get_paginator(self, _: str) -> Any:
        return Answers(list_steps={"Steps": [{"Name": "a-g1", "Id": "s-1"}]}).get_paginator("list_steps")

    def describe_step(self, **_: str) -> Any:
        return {"Step": {"Status": {"State": self._states.pop(0)}}}

    def cancel_steps(self, **_: Any) -> Any:
        return {"CancelStepsInfoList": [{"StepId": "s-1", **self._info}]}


@pytest.mark.parametrize("after", ["COMPLETED", "FAILED", "CANCELLED", "CANCEL_PENDING"])
def test_a_step_that_ended_before_its_cancellation_is_no_error(after: str) -> None:
    EmrSteps(Step(["RUNNING", after], Status="FAILED", Reason=f"Step is in state {after}"), "j-1").stop(
        "a-g1"
    )
    EmrSteps(Step(["RUNNING", "RUNNING"], Status="SUBMITTED"), "j-1").stop("a-g1")


def test_a_step_that_cannot_be_cancelled_is_an_error_that_names_it_with_emrs_reason() -> None:
    running = Step(["RUNNING", "RUNNING"], Status="FAILED", Reason="not on this release")
    with pytest.raises(StepNotCancelled, match=r"step s-1 of cluster j-1 \(a-g1\).*not on this release"):
        EmrSteps(running, "j-1").stop("a-g1")


def test_an_application_that_accepts_no_jobs_is_an_error_that_names_its_state(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(emr_serverless, "_SETTLE_SECONDS", -1.0)
    state = {"state": "STOPPING", "stateDetails": "waits for a worker"}
    answers = Answers(
        list_applications={"applications": [{"id": "00a", "name": "app"}]},
        get_application={"application": state},
    )
    with pytest.raises(ApplicationNotReady, match=r"app \(00a\).*CREATED.*STOPPING: waits for a worker"):
        EmrServerlessJobs(answers, "app").submit("a-g1", {"application": {}, "run": {}}, "a" * 64)


def test_a_glue_run_is_looked_for_in_one_call_however_many_there_are() -> None:
    runs = [{"JobRunState": "SUCCEEDED", "Id": f"jr_{n}", "Arguments": {}} for n in range(200)]
    answers = Answers(get_job_runs={"JobRuns": runs, "NextToken": "more"})
    assert GlueJobs(answers, "clean").describe("a-g1").state is JobState.ABSENT
    assert answers.calls == [("get_job_runs", {"JobName": "clean", "MaxResults": 200})]


def test_a_job_run_is_looked_for_among_the_newer_ones() -> None:
    answers = Answers(
        list_applications={"applications": [{"id": "00a", "name": "app"}]}, list_job_runs={"jobRuns": []}
    )
    EmrServerlessJobs(answers, "app").describe("a-g1")
    _, request = answers.calls[-1]
    assert datetime.now(UTC) - request["createdAtAfter"] < timedelta(days=15)


def test_the_runs_of_an_application_are_listed_once_for_a_job_and_not_at_each_look() -> None:
    now = datetime.now(UTC)
    answers = Answers(
        list_applications={"applications": [{"id": "00a", "name": "app"}]},
        list_job_runs={"jobRuns": [{"id": f"00{n}", "name": f"a-g{n}"} for n in range(500)]},
        get_job_run={"jobRun": {"state": "RUNNING", "createdAt": now, "updatedAt": now}},
    )
    for _ in range(3):  # a trigger makes the object again for each look
        assert EmrServerlessJobs(answers, "app").describe("a-g7").job_id == "007"
    assert [operation for operation, _ in answers.calls].count("list_job_runs") == 1


def test_a_job_run_that_was_absent_is_looked_for_again() -> None:
    applications = {"applications": [{"id": "00a", "name": "app"}]}
    answers = Answers(list_applications=applications, list_job_runs={"jobRuns": []})
    for _ in range(2):
        assert EmrServerlessJobs(answers, "app").describe("a-g1").state is JobState.ABSENT
    assert [operation for operation, _ in answers.calls].count("list_job_runs") == 2


def test_states_that_end_nothing_may_change() -> None:
    changing = {state for state in JobState if state.may_change}
    assert changing == {JobState.ACTIVE, JobState.STOPPING}
    assert known_state(SAGEMAKER_STATES, "Stopped", "x") is JobState.STOPPED
