"""Interprets AWS's refusals and outages: whether waiting can help, the reason, and the remedy."""

from __future__ import annotations

import re
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError

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
#: The session of the credentials has ended. A later call uses renewed ones.
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"})
#: The credentials are missing or wrong, by codes of the services and by classes of botocore.
_CREDENTIALS = frozenset(
    {
        "AuthFailure",
        "CredentialRetrievalError",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "InvalidToken",
        "LoginRefreshRequired",
        "MissingAuthenticationToken",
        "NoCredentialsError",
        "PartialCredentialsError",
        "SSOTokenLoadError",
        "SignatureDoesNotMatch",
        "TokenRetrievalError",
        "UnauthorizedSSOTokenError",
        "UnrecognizedClientException",
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
#: The job of a task is planned once, so a change of the settings reaches it only by a new plan.
_PLAN_AGAIN = "then clear plan with Downstream"
_RAISE_QUOTA = (
    "raise the quota in the console of Service Quotas, then clear this task; or ask for less in the "
    f"settings, {_PLAN_AGAIN}"
)
_RENEW = (
    "renew the credentials of Airflow's processes, then clear this task; a job that was started may still "
    "run, and costs money until then"
)


class QuotaExceeded(NexusError):
    """Raised if AWS refuses a job for lack of quota or capacity, and waiting did not or cannot help."""


class AwsUnavailable(NexusError):
    """Raised if AWS cannot be reached, is overloaded or refuses the credentials, and waiting did not help."""


@dataclass(frozen=True)
class Refusal:
    """A refusal because of the state of account, service or network, not because of the request.

    ``passes`` is True if waiting can help. ``quota`` names the limit, or is empty if AWS does not name one.
    ``summary`` says in general what happened.
    """

    what: str
    passes: bool
    quota: str = ""
    remedy: str = "wait, then clear this task"
    summary: str = "AWS has no room for this job"
    kind: type[NexusError] = QuotaExceeded

    def error(self, where: str, waited_seconds: float = 0.0) -> NexusError:
        """Return the error for the reader of the task."""
        waited = f" (after {waited_seconds / 60:.0f} minutes of waiting)" if waited_seconds else ""
        return self.kind(
            f"{self.summary}{waited}",
            where=where,
            expected=f"room in the quota: {self.quota}" if self.quota else "",
            got=self.what,
            remedy=self.remedy,
        )


def refusal_of(error: Exception) -> Refusal | None:
    """Return the meaning of a refusal, or None for an error in the request, which waiting cannot help."""
    if isinstance(error, BotoCoreError):
        name, what = type(error).__name__, f"{type(error).__name__}: {error}"
        if isinstance(error, ConnectionError | HTTPClientError):
            return _unavailable(what, "AWS cannot be reached")
        return _credentials(what) if name in _CREDENTIALS else None
    if not isinstance(error, ClientError):
        return None
    code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    what = f"{code}: {message}" if message else code
    if code in _PASSING or error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500:
        return _unavailable(what, "AWS is overloaded, or limits the rate of calls")
    if code in _EXPIRED:
        return _credentials(what, "the AWS credentials have expired", passes=True)
    if code in _CREDENTIALS:
        return _credentials(what)
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
    remedy = f"choose another instance type, zone or more of them in the settings, {_PLAN_AGAIN}"
    return Refusal(reason, passes=True, quota="free capacity of the instance type", remedy=remedy)


def _unavailable(what: str, summary: str) -> Refusal:
    remedy = "try again later: clear this task; if it fails again, check the network and AWS_ENDPOINT_URL"
    return Refusal(what, passes=True, remedy=remedy, summary=summary, kind=AwsUnavailable)


def _credentials(
    what: str, summary: str = "the AWS credentials are missing or not valid", passes: bool = False
) -> Refusal:
    return Refusal(what, passes, remedy=_RENEW, summary=summary, kind=AwsUnavailable)


def _quota(what: str, message: str, operation: str) -> Refusal:
    found = _SAGEMAKER_QUOTA.search(message)
    if found:
        limit, delta = int(found["limit"]), int(found["delta"])
        quota = f"{found['quota']} = {limit}, in use {found['used']}, asked for {delta}"
        return Refusal(what, passes=delta <= limit, quota=quota, remedy=_RAISE_QUOTA)
    return Refusal(what, operation not in _CREATES, quota=f"that of {operation}", remedy=_RAISE_QUOTA)
