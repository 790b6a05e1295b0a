"""AWS's refusals: which pass with time, which quota they name, and when waiting cannot help."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from include.aws.refusals import capacity_refusal, is_capacity_failure, refusal_of


def error(code: str, message: str = "", operation: str = "CreateTrainingJob") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


@pytest.mark.parametrize("code", ["ThrottlingException", "SlowDown", "InternalServerException"])
def test_throttling_and_faults_of_the_service_pass(code: str) -> None:
    refusal = refusal_of(error(code, "too many"))
    assert refusal is not None
    assert (refusal.passes, refusal.quota, refusal.what) == (True, "", f"{code}: too many")


def test_a_refusal_without_a_message_is_its_code() -> None:
    refusal = refusal_of(error("Throttling"))
    assert refusal is not None
    assert refusal.what == "Throttling"


@pytest.mark.parametrize("code", ["ValidationException", "AccessDeniedException", "ResourceNotFound"])
def test_an_error_of_the_request_is_no_refusal(code: str) -> None:
    assert refusal_of(error(code, "no")) is None


@pytest.mark.parametrize(
    ("code", "message", "quota"),
    [
        ("ConcurrentRunsExceededException", "", "the Glue job definition's MaxConcurrentRuns"),
        ("ConflictException", "", "one change at a time of the resource"),
        (
            "ValidationException",
            "Maximum number of active steps exceeded",
            "active steps of an EMR cluster (256)",
        ),
        ("InvalidParameterException", "Service is still Draining.", ""),
    ],
)
def test_what_is_going_on_must_end_first(code: str, message: str, quota: str) -> None:
    refusal = refusal_of(error(code, message))
    assert refusal is not None
    assert (refusal.passes, refusal.quota) == (True, quota)


def sagemaker(limit: int, used: int, delta: int) -> ClientError:
    message = (
        f"The account-level service limit 'ml.p4d for training' is {limit} Instances, with current "
        f"utilization of {used} Instances and a request delta of {delta} Instances."
    )
    return error("ResourceLimitExceeded", message)


@pytest.mark.parametrize(("limit", "delta", "passes"), [(4, 4, True), (4, 5, False), (0, 1, False)])
def test_waiting_helps_if_the_quota_has_room_for_the_job_alone(limit: int, delta: int, passes: bool) -> None:
    refusal = refusal_of(sagemaker(limit, 2, delta))
    assert refusal is not None
    assert refusal.passes is passes
    assert refusal.quota == f"ml.p4d for training = {limit}, in use 2, asked for {delta}"


@pytest.mark.parametrize(
    ("operation", "passes"),
    [("StartJobRun", True), ("CreateTrainingJob", True), ("CreateJob", False), ("CreateModelPackage", False)],
)
def test_no_wait_frees_the_quota_of_what_stays(operation: str, passes: bool) -> None:
    refusal = refusal_of(error("LimitExceededException", "too many", operation))
    assert refusal is not None
    assert (refusal.passes, refusal.quota) == (passes, f"that of {operation}")


@pytest.mark.parametrize(
    ("reason", "is_capacity"),
    [
        ("CapacityError: Unable to provision requested ML compute capacity", True),
        ("InsufficientInstanceCapacity in us-east-1a", True),
        ("Insufficient Capacity", True),
        ("resource is unavailable", True),
        ("resources are unavailable", True),
        ("Worker could not be allocated as the application has exceeded maximumCapacity", True),
        ("AlgorithmError: exit code 1", False),
        ("", False),
    ],
)
def test_a_lack_of_instances_is_told_from_an_error_of_the_job(reason: str, is_capacity: bool) -> None:
    assert is_capacity_failure(reason) is is_capacity


def test_the_error_says_how_long_was_waited() -> None:
    refusal = capacity_refusal("CapacityError: none")
    assert refusal.passes
    waited = str(refusal.error("job x", 5_400))
    assert "after 90 minutes of waiting" in waited
    assert "room in the quota: free capacity of the instance type" in waited
    assert "got CapacityError: none" in waited
    assert "waiting" not in str(refusal.error("job x"))
