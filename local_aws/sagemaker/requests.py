"""Checks of SageMaker requests with its error messages, and the common parts of its answers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from typing import Any

from local_aws.errors import AwsError
from local_aws.pagination import page_of
from local_aws.resources import Resource
from local_aws.settings import ACCOUNT, REGION

_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
_MAX_METRICS = 40
#: The number of rows of a page by default.
PAGE = 10


def invalid(message: str) -> AwsError:
    """Return a ValidationException."""
    return AwsError("ValidationException", message)


def missing(what: str, name: str) -> AwsError:
    """Return the error of SageMaker for a resource that does not exist."""
    return AwsError("ValidationException", f"Requested resource not found: {what} {name}.")


def arn(kind: str, name: str) -> str:
    """Return the ARN of a SageMaker resource."""
    return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{kind}/{name}"


def check_name(field: str, name: str) -> None:
    """Check a job name. Raises ValidationException if it is invalid."""
    if not _NAME.fullmatch(name):
        raise invalid(
            f"1 validation error detected: Value '{name}' at '{field}' failed to satisfy constraint: Member"
            " must satisfy regular expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"
        )


def check_training(request: dict[str, Any]) -> None:
    """Check a CreateTrainingJob request. Raises the error with which SageMaker rejects it."""
    check_name("trainingJobName", request["TrainingJobName"])
    algorithm = request.get("AlgorithmSpecification", {})
    if not algorithm.get("TrainingImage"):
        raise invalid("AlgorithmSpecification.TrainingImage is required (AlgorithmName is not known locally)")
    if len(algorithm.get("MetricDefinitions", [])) > _MAX_METRICS:
        raise invalid(f"at most {_MAX_METRICS} MetricDefinitions")
    for metric in algorithm.get("MetricDefinitions", []):
        try:
            re.compile(metric["Regex"])
        except re.error as error:
            raise invalid(f"MetricDefinitions {metric['Name']}: {error}") from error
    resources = request.get("ResourceConfig", {})
    if int(resources.get("InstanceCount", 0)) < 1:
        raise invalid("ResourceConfig.InstanceCount must be at least 1")
    _check_stopping(request)
    local_path = request.get("CheckpointConfig", {}).get("LocalPath", "/opt/ml/checkpoints")
    if not local_path.startswith("/opt/ml/"):
        raise invalid("CheckpointConfig.LocalPath: local_aws supports paths below /opt/ml")
    for channel in request.get("InputDataConfig", []):
        if "S3DataSource" not in channel.get("DataSource", {}):
            raise invalid(f"channel {channel['ChannelName']}: local_aws supports S3DataSource only")
        mode = channel.get("InputMode", algorithm.get("TrainingInputMode", "File"))
        if mode == "Pipe":
            raise invalid(f"channel {channel['ChannelName']}: local_aws does not support Pipe mode")


def _check_stopping(request: dict[str, Any]) -> None:
    stopping = request.get("StoppingCondition", {})
    longest = stopping.get("MaxRuntimeInSeconds", 86400)
    wait = stopping.get("MaxWaitTimeInSeconds")
    for name, value in stopping.items():
        # the real service rejects a number in a string too, such as that of a template
        if not isinstance(value, int) or isinstance(value, bool):
            raise AwsError("SerializationException", f"StoppingCondition.{name} must be a number")
    if request.get("EnableManagedSpotTraining"):
        if wait is None:
            raise invalid(
                "MaxWaitTimeInSeconds above MaxRuntimeInSeconds is required for managed spot training"
            )
        if wait < longest:
            raise invalid(
                f"Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to"
                f" MaxRuntimeInSeconds ({wait} < {longest})"
            )
    elif wait is not None:
        raise invalid("MaxWaitTimeInSeconds can only be set if EnableManagedSpotTraining is true")


def listing(
    jobs: Iterable[Resource],
    request: dict[str, Any],
    status: Callable[[Resource], str],
    summary: Callable[[Resource], Any],
) -> tuple[list[Any], str | None]:
    """Return one page of a List call, with the usual filters of SageMaker, and the next token (an offset)."""
    wanted, modified_after = request.get("StatusEquals"), request.get("LastModifiedTimeAfter", 0.0)
    modified_before = request.get("LastModifiedTimeBefore", math.inf)
    chosen = [
        job
        for job in created_within(named(jobs, request), request)
        if wanted in (None, status(job)) and modified_after <= job.updated <= modified_before
    ]
    keys: dict[str, Callable[[Resource], Any]] = {"Name": lambda job: job.name, "Status": status}
    key = keys.get(request.get("SortBy", "CreationTime"), lambda job: job.created)
    chosen.sort(key=key, reverse=request.get("SortOrder", "Descending") == "Descending")
    page, token = page_of(chosen, request, PAGE)
    return [summary(job) for job in page], token.get("NextToken")


def named(rows: Iterable[Resource], request: dict[str, Any]) -> list[Resource]:
    """Return the rows that NameContains selects."""
    part = request.get("NameContains", "").lower()
    return [row for row in rows if part in row.name.lower()]


def created_within(rows: Iterable[Resource], request: dict[str, Any]) -> list[Resource]:
    """Return the rows that CreationTimeAfter and CreationTimeBefore select."""
    after, before = request.get("CreationTimeAfter", 0.0), request.get("CreationTimeBefore", math.inf)
    return [row for row in rows if after <= row.created <= before]
