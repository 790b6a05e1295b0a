"""AWS's refusals: which pass with time, which quota they name, and when waiting cannot help."""

from __future__ import annotations

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ReadTimeoutError,
    SSLError,
    UnknownServiceError,
)

from include.aws.refusals import AwsUnavailable, Refusal, capacity_refusal, is_capacity_failure, refusal_of


def error(code: str, message: str = "", operation: str = "CreateTrainingJob") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


@pytest.mark.parametrize("code", ["ThrottlingException", "SlowDown", "InternalServerException"])
def test_throttling_and_faults_of_the_service_pass(code: str) -> None:
    refusal = refusal_of(error(code, "too many"))
    assert refusal is not None
    assert (refusal.passes, refusal.quota, refusal.what) == (True, "", f"{code}: too many")


def test_a_fault_of_the_service_passes_whatever_its_code_is() -> None:
    answer = {"Error": {"Code": "Odd", "Message": "x"}, "ResponseMetadata": {"HTTPStatusCode": 503}}
    refusal = refusal_of(ClientError(answer, "DescribeTrainingJob"))  # type: ignore[arg-type]
    assert refusal is not None and refusal.passes


@pytest.mark.parametrize(
    "outage",
    [
        EndpointConnectionError(endpoint_url="https://sagemaker"),
        ConnectTimeoutError(endpoint_url="https://sagemaker"),
        ReadTimeoutError(endpoint_url="https://sagemaker"),
        ConnectionClosedError(endpoint_url="https://sagemaker"),
        SSLError(endpoint_url="https://sagemaker", error="x"),
    ],
)
def test_an_outage_of_the_network_passes(outage: BotoCoreError) -> None:
    refusal = refusal_of(outage)
    assert refusal is not None and refusal.passes
    waited = refusal.error("job x", 3_600)
    assert isinstance(waited, AwsUnavailable)
    assert "AWS cannot be reached (after 60 minutes of waiting)" in str(waited)


@pytest.mark.parametrize("code", ["ExpiredToken", "ExpiredTokenException", "RequestExpired"])
def test_expired_credentials_are_waited_for_and_named(code: str) -> None:
    refusal = refusal_of(error(code, "The security token included in the request is expired"))
    assert refusal is not None and refusal.passes
    assert "the AWS credentials have expired" in str(refusal.error("job x"))
    assert "renew the credentials" in str(refusal.error("job x"))


@pytest.mark.parametrize(
    "wrong",
    [
        error("UnrecognizedClientException", "The security token included in the request is invalid."),
        error("InvalidClientTokenId"),
        error("SignatureDoesNotMatch"),
        NoCredentialsError(),
        PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"),
    ],
)
def test_wrong_credentials_are_named_at_once(wrong: Exception) -> None:
    refusal = refusal_of(wrong)
    assert refusal is not None and not refusal.passes
    assert "credentials are missing or not valid" in str(refusal.error("job x"))


@pytest.mark.parametrize(
    "other", [ParamValidationError(report="x"), UnknownServiceError(service_name="x", known_service_names=[])]
)
def test_an_error_of_the_call_itself_is_no_refusal(other: BotoCoreError) -> None:
    assert refusal_of(other) is None
    assert refusal_of(ValueError("x")) is None


@pytest.mark.parametrize("refusal", [capacity_refusal("none"), refusal_of(error("LimitExceededException"))])
def test_a_change_of_the_settings_needs_a_new_plan(refusal: Refusal) -> None:
    assert "in the settings, then clear plan with Downstream" in str(refusal.error("job x"))


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
