"""Kinds of rows, ARNs and errors of ECS."""

from __future__ import annotations

import secrets

from local_aws.errors import AwsError
from local_aws.settings import ACCOUNT, REGION

CLUSTER = "ecs-cluster"
DEFINITION = "ecs-task-definition"
SERVICE = "ecs-service"
TASK = "ecs-task"
REVISION = "ecs-service-revision"
DEPLOYMENT = "ecs-service-deployment"

LIVE_TASK = ("PROVISIONING", "PENDING", "RUNNING")
OPEN_DEPLOYMENT = ("PENDING", "IN_PROGRESS", "ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS", "STOP_REQUESTED")


def arn(resource: str) -> str:
    """Return the ARN of an ECS resource, e.g. ``service/<cluster>/<name>``."""
    return f"arn:aws:ecs:{REGION}:{ACCOUNT}:{resource}"


def short(name_or_arn: str) -> str:
    """Return the last part of an ARN, or a plain name unchanged."""
    return name_or_arn.rsplit("/", 1)[-1]


def new_id(length: int = 32) -> str:
    """Create a random hexadecimal id."""
    return secrets.token_hex(length // 2)


def client_error(message: str) -> AwsError:
    """Return a ClientException."""
    return AwsError("ClientException", message)


def invalid(message: str) -> AwsError:
    """Return an InvalidParameterException."""
    return AwsError("InvalidParameterException", message)
