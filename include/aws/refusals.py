"""Interprets AWS's refusals: whether waiting can help, which quota is the reason, and the remedy."""

from __future__ import annotations

import re
from dataclasses import dataclass

from botocore.exceptions import ClientError

from include.contracts.errors import NexusError

#: Too many calls, or a fault of the service: the same call succeeds later.
_PASSING = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "InternalServerException",
        "InternalServiceException",
        "OperationTimeoutException",
        "PriorRequestNotComplete",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServerException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
#: Another operation must end first.
_BUSY = {
    "ConcurrentRunsExceededException": "the Glue job definition's MaxConcurrentRuns",
    "ConcurrentModificationException": "one change at a time of a Glue job definition",
    "ConflictException": "one change at a time of the resource",
    "UpdateInProgressException": "one change at a time of the resource",
}
#: A quota of the account is used up, by running or by existing resources.
_QUOTAS = frozenset(
    {
        "CapacityError",
        "InsufficientCapacityException",
        "LimitExceededException",
        "ResourceLimitExceeded",
        "ResourceLimitExceededException",
        "ResourceNumberLimitExceededException",
        "ServiceQuotaExceededException",
    }
)
#: Operations that create permanent resources, so waiting does not free their quota.
_CREATES = ("CreateJob", "CreateApplication", "CreateModelPackage", "CreateModelPackageGroup")
_SAGEMAKER_QUOTA = re.compile(
    r"limit '(?P<quota>[^']+)' is (?P<limit>\d+)\D.*?utilization of (?P<used>\d+)\D.*?delta of (?P<delta>\d+)"
)
#: Messages of refusals whose code says nothing: EMR's steps, and ECS services that are being deleted.
_STEPS = re.compile(r"maximum number of active steps", re.IGNORECASE)
_DRAINING = re.compile(r"still draining", re.IGNORECASE)
_CAPACITY = re.compile(
    r"CapacityError|InsufficientInstanceCapacity|insufficient capacity|resources? (?:is|are) unavailable"
    r"|exceeded (?:the )?maximumCapacity",
    re.IGNORECASE,
)
_RAISE_QUOTA = "raise the quota in the console of Service Quotas, or ask for less in the settings"


class QuotaExceeded(NexusError):
    """Raised if AWS refuses a job for lack of quota or capacity, and waiting did not or cannot help."""


@dataclass(frozen=True)
class Refusal:
    """A refusal because of the state of account or service, not because of the request.

    ``passes`` is True if waiting can help. ``quota`` names the limit, or is empty if AWS does not name one.
    """

    what: str
    passes: bool
    quota: str = ""
    remedy: str = "wait, then clear this task"

    def error(self, where: str, waited_seconds: float = 0.0) -> QuotaExceeded:
        """Return the error for the reader of the task."""
        waited = f" after {waited_seconds / 60:.0f} minutes of waiting" if waited_seconds else ""
        return QuotaExceeded(
            f"AWS has no room for this job{waited}",
            where=where,
            expected=f"room in the quota: {self.quota}" if self.quota else "",
            got=self.what,
            remedy=self.remedy,
        )


def refusal_of(error: ClientError) -> Refusal | None:
    """Return the meaning of a refusal, or None for an error in the request, which waiting cannot help."""
    code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    what = f"{code}: {message}" if message else code
    if code in _PASSING:
        return Refusal(what, passes=True)
    if code in _BUSY:
        return Refusal(
            what, passes=True, quota=_BUSY[code], remedy="end what is going on, then clear this task"
        )
    if _STEPS.search(message):
        return Refusal(what, passes=True, quota="active steps of an EMR cluster (256)")
    if _DRAINING.search(message):
        return Refusal(
            what, passes=True, remedy="wait until the old service is deleted, then clear this task"
        )
    if code in _QUOTAS:
        return _quota(what, message, error.operation_name)
    return None


def is_capacity_failure(reason: str) -> bool:
    """Return True if a job's reason says that the service had no instances for it."""
    return _CAPACITY.search(reason) is not None


def capacity_refusal(reason: str) -> Refusal:
    """Return the refusal for a job that was accepted and then failed for lack of capacity."""
    remedy = "choose another instance type, zone or more of them in the settings, then clear this task"
    return Refusal(reason, passes=True, quota="free capacity of the instance type", remedy=remedy)


def _quota(what: str, message: str, operation: str) -> Refusal:
    found = _SAGEMAKER_QUOTA.search(message)
    if found:
        limit, delta = int(found["limit"]), int(found["delta"])
        quota = f"{found['quota']} = {limit}, in use {found['used']}, asked for {delta}"
        return Refusal(what, passes=delta <= limit, quota=quota, remedy=_RAISE_QUOTA)
    return Refusal(what, operation not in _CREATES, quota=f"that of {operation}", remedy=_RAISE_QUOTA)
