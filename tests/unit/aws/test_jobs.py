from __future__ import annotations

import boto3
import pytest

from include.aws.emr import EMR_STEP_STATES
from include.aws.emr_serverless import EMR_SERVERLESS_STATES
from include.aws.glue import GLUE_STATES
from include.aws.job_states import JobState
from include.aws.jobs import SAGEMAKER_STATES, interruptions, training_reason
from include.aws.rollouts import ROLLOUT_STATES, rollout_reason


def states_of(service: str, operation: str, *path: str) -> set[str]:
    """The enum of a member in botocore's model of an answer."""
    shape = (
        boto3.client(service, region_name="us-east-1")
        .meta.service_model.operation_model(operation)
        .output_shape
    )
    for name in path:
        shape = shape.members[name]
        shape = shape.member if shape.type_name == "list" else shape
    return set(shape.enum)


@pytest.mark.parametrize(
    ("table", "known"),
    [
        (SAGEMAKER_STATES, states_of("sagemaker", "DescribeProcessingJob", "ProcessingJobStatus")),
        (EMR_STEP_STATES, states_of("emr", "DescribeStep", "Step", "Status", "State")),
        (EMR_SERVERLESS_STATES, states_of("emr-serverless", "GetJobRun", "jobRun", "state")),
        (GLUE_STATES, states_of("glue", "GetJobRun", "JobRun", "JobRunState")),
        (ROLLOUT_STATES, states_of("ecs", "DescribeServiceDeployments", "serviceDeployments", "status")),
    ],
    ids=["sagemaker", "emr", "emr-serverless", "glue", "ecs"],
)
def test_every_state_of_the_service_has_a_meaning(table: dict[str, object], known: set[str]) -> None:
    assert set(table) == known


def test_training_states_have_a_meaning() -> None:
    known = states_of("sagemaker", "DescribeTrainingJob", "TrainingJobStatus")
    # Deleting has no use here: nobody deletes training jobs
    assert known - {"Deleting"} <= set(SAGEMAKER_STATES)


def test_stopped_is_terminal_and_not_completed() -> None:
    assert JobState.STOPPED.is_terminal
    assert SAGEMAKER_STATES["Stopped"] is not JobState.COMPLETED


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
