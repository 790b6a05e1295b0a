"""Rollouts of an ECS service: start one, look at one, take one back. Known by the deployment's ARN.

`services_stable` believes a service that was rolled back: only the deployment itself tells.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any

from include.aws.clients import client
from include.aws.ecs import create_service, update_service
from include.contracts.errors import InputError
from include.settings import Settings


class RolloutState(enum.StrEnum):
    """What the caller must know of a deployment."""

    ACTIVE = "active"
    SUCCESSFUL = "successful"
    FAILED = "failed"


ROLLOUT_STATES = {
    "PENDING": RolloutState.ACTIVE,
    "IN_PROGRESS": RolloutState.ACTIVE,
    "STOP_REQUESTED": RolloutState.ACTIVE,
    "ROLLBACK_REQUESTED": RolloutState.ACTIVE,
    "ROLLBACK_IN_PROGRESS": RolloutState.ACTIVE,
    "SUCCESSFUL": RolloutState.SUCCESSFUL,
    "STOPPED": RolloutState.FAILED,
    "ROLLBACK_SUCCESSFUL": RolloutState.FAILED,
    "ROLLBACK_FAILED": RolloutState.FAILED,
}


@dataclass(frozen=True)
class RolloutView:
    """A deployment as ECS describes it; ``status`` and ``reason`` are for the reader."""

    state: RolloutState
    status: str
    reason: str
    raw: dict[str, Any] = field(default_factory=dict)


class Rollouts:
    """The deployments of one service."""

    def __init__(self, cluster: str, service: str, ecs: Any = None) -> None:
        self._cluster = cluster
        self._service = service
        self._ecs = ecs or client("ecs")

    def known(self) -> list[str]:
        """ARNs of every deployment of the service, newest first; empty before the service exists."""
        if self._describe_service() is None:
            return []
        arns: list[str] = []
        request: dict[str, Any] = {"cluster": self._cluster, "service": self._service}
        while True:
            answer = self._ecs.list_service_deployments(**request)
            arns += [entry["serviceDeploymentArn"] for entry in answer["serviceDeployments"]]
            if not answer.get("nextToken"):
                return arns
            request["nextToken"] = answer["nextToken"]

    def start(self, settings: Settings, task_definition_arn: str) -> None:
        """Create the service, or update it; the new deployment is the one that ``known`` did not list."""
        if self._describe_service() is None:
            target_group = find_target_group(settings.serving.target_group)
            self._ecs.create_service(**create_service(settings, task_definition_arn, target_group))
        else:
            self._ecs.update_service(**update_service(settings, task_definition_arn))

    def serving(self) -> str:
        """ARN of the task definition that the service has; empty before the service exists."""
        service = self._describe_service()
        return str(service["taskDefinition"]) if service else ""

    def look(self, deployment_arn: str) -> RolloutView:
        """State and reason of one deployment."""
        answer = self._ecs.describe_service_deployments(serviceDeploymentArns=[deployment_arn])
        if not answer["serviceDeployments"]:
            failures = answer.get("failures", [])
            raise InputError("no such deployment", where=deployment_arn, got=str(failures))
        raw = answer["serviceDeployments"][0]
        return RolloutView(ROLLOUT_STATES[raw["status"]], raw["status"], rollout_reason(raw), raw)

    def stop(self, deployment_arn: str) -> None:
        """Roll an unfinished deployment back to the old revision."""
        if self.look(deployment_arn).state is RolloutState.ACTIVE:
            self._ecs.stop_service_deployment(serviceDeploymentArn=deployment_arn, stopType="ROLLBACK")

    def _describe_service(self) -> dict[str, Any] | None:
        answer = self._ecs.describe_services(cluster=self._cluster, services=[self._service])
        alive = [service for service in answer["services"] if service["status"] != "INACTIVE"]
        return alive[0] if alive else None


def rollout_reason(raw: dict[str, Any]) -> str:
    """Why a deployment did not succeed, from everything that ECS says about it."""
    parts = [raw.get("statusReason", "")]
    breaker = raw.get("deploymentCircuitBreaker", {})
    if breaker.get("status") == "TRIGGERED":
        failures, threshold = breaker.get("failureCount"), breaker.get("threshold")
        parts.append(f"circuit breaker after {failures} failed tasks (threshold {threshold})")
    alarms = raw.get("alarms", {})
    if alarms.get("triggeredAlarmNames"):
        parts.append(f"alarms: {', '.join(alarms['triggeredAlarmNames'])}")
    parts.append(raw.get("rollback", {}).get("reason", ""))
    return "; ".join(dict.fromkeys(part for part in parts if part))


def find_target_group(name: str) -> str:
    """ARN of a target group; InputError when nobody made it."""
    elbv2 = client("elbv2")
    try:
        groups = elbv2.describe_target_groups(Names=[name])["TargetGroups"]
    except elbv2.exceptions.TargetGroupNotFoundException:
        groups = []
    if not groups:
        remedy = "deploy the serving stack, or correct serving.target_group"
        raise InputError("no such target group", where=name, remedy=remedy)
    return str(groups[0]["TargetGroupArn"])
