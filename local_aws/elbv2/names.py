"""ARNs, errors and defaults of Elastic Load Balancing."""

from __future__ import annotations

import re
import secrets
from typing import Any

from local_aws.errors import AwsError
from local_aws.settings import ACCOUNT, REGION

BALANCER, GROUP, LISTENER = "elbv2-application", "elbv2-group", "elbv2-http-listener"
_PREFIX = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:"
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])?")

BALANCER_ATTRIBUTES = {
    "deletion_protection.enabled": "false",
    "idle_timeout.timeout_seconds": "60",
    "routing.http.drop_invalid_header_fields.enabled": "false",
    "routing.http2.enabled": "true",
}
GROUP_ATTRIBUTES = {
    "deregistration_delay.timeout_seconds": "300",
    "load_balancing.algorithm.type": "round_robin",
    "slow_start.duration_seconds": "0",
    "stickiness.enabled": "false",
}
GROUP_DEFAULTS: dict[str, Any] = {
    "Protocol": "HTTP",
    "ProtocolVersion": "HTTP1",
    "HealthCheckProtocol": "HTTP",
    "HealthCheckPort": "traffic-port",
    "HealthCheckEnabled": True,
    "HealthCheckPath": "/",
    "HealthCheckIntervalSeconds": 30,
    "HealthCheckTimeoutSeconds": 5,
    "HealthyThresholdCount": 5,
    "UnhealthyThresholdCount": 2,
    "Matcher": {"HttpCode": "200"},
    "TargetType": "instance",
    "IpAddressType": "ipv4",
}


def invalid(message: str) -> AwsError:
    """Return a ValidationError, which is the name of this error in the query protocol."""
    return AwsError("ValidationError", message)


def missing(kind: str, what: str) -> AwsError:
    """Return the error for a resource that does not exist."""
    code = {BALANCER: "LoadBalancerNotFound", GROUP: "TargetGroupNotFound", LISTENER: "ListenerNotFound"}[
        kind
    ]
    return AwsError(code, f"One or more resources were not found: {what}")


def check_name(name: str) -> None:
    """Check the name of a balancer or group. Raises ValidationError if it is invalid."""
    if not _NAME.fullmatch(name):
        raise invalid(
            f"The name '{name}' must have 1 to 32 letters, digits or hyphens, with no hyphen at either end"
        )


def new_arn(kind: str, name: str) -> str:
    """Create a unique ARN. For a listener, ``name`` is the ARN of its balancer."""
    identifier = secrets.token_hex(8)
    if kind == LISTENER:
        return f"{name.replace(':loadbalancer/', ':listener/')}/{identifier}"
    suffix = f"loadbalancer/app/{name}" if kind == BALANCER else f"targetgroup/{name}"
    return f"{_PREFIX}{suffix}/{identifier}"


def dimension(arn: str) -> str:
    """Return the name of a balancer (app/…) or a group (targetgroup/…) in CloudWatch."""
    return arn.rpartition(":")[2].removeprefix("loadbalancer/")


def forwards(actions: list[dict[str, Any]]) -> list[tuple[str, int]]:
    """Return the target groups of a listener's actions with their weights; empty if no action forwards."""
    for action in actions:
        if action["Type"] == "forward":
            groups = action.get("ForwardConfig", {}).get("TargetGroups")
            if groups:
                return [(group["TargetGroupArn"], int(group.get("Weight", 1))) for group in groups]
            return [(action["TargetGroupArn"], 1)]
    return []


def matches(matcher: str, status: int) -> bool:
    """Return True if a status is in a matcher such as ``200``, ``200,202`` or ``200-299``."""
    for part in matcher.split(","):
        low, _, high = part.strip().partition("-")
        if int(low) <= status <= int(high or low):
            return True
    return False
