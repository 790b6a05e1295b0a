"""Rollouts of an ECS service: start one, look at one, take one back. Known by the deployment's ARN.

`services_stable` believes a service that was rolled back: only the deployment itself tells.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from include.aws.clients import client, unless
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


#: States that StopServiceDeployment takes: what rolls back already is a ConflictException.
_STOPPABLE = ("PENDING", "IN_PROGRESS")
#: Tag of a task definition: whose rollout it was registered for. A deployment itself takes no tags.
_OWNER_TAG = "rollout"


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
        return [str(entry["serviceDeploymentArn"]) for entry in self._deployments()]

    def register(self, task_definition: dict[str, Any], owner: str) -> str:
        """ARN of a new revision that is marked as ``owner``'s, see ``stop_of``."""
        tags = [*task_definition.get("tags", ()), {"key": _OWNER_TAG, "value": owner}]
        registered = self._ecs.register_task_definition(**(task_definition | {"tags": tags}))
        return str(registered["taskDefinition"]["taskDefinitionArn"])

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
        """Roll an unfinished deployment back to the old revision; nothing when it is over or on its way."""
        if self.look(deployment_arn).status in _STOPPABLE:
            request = {"serviceDeploymentArn": deployment_arn, "stopType": "ROLLBACK"}
            # mark-failed has the trigger and the listener stop it, at the same time
            unless("ConflictException", self._ecs.stop_service_deployment, **request)

    def stop_of(self, owner: str) -> list[str]:
        """Stop what goes on of the revisions that ``owner`` registered and rolled out; the deployments' ARNs.

        Only the first deployment of a revision is its owner's: whoever goes back to it later starts another.
        """
        deployments = list(self._deployments())
        stopped = []
        for entry in deployments:
            if entry["status"] not in _STOPPABLE:
                continue
            definition, tags = self._definition_and_tags(entry)
            if tags.get(_OWNER_TAG) != owner:
                continue
            since = [other for other in deployments if other["createdAt"] >= definition["registeredAt"]]
            arns = [self._definition_arn(other) for other in since]
            if arns.count(definition["taskDefinitionArn"]) == 1:
                self.stop(entry["serviceDeploymentArn"])
                stopped.append(str(entry["serviceDeploymentArn"]))
        return stopped

    def _deployments(self) -> Iterator[dict[str, Any]]:
        if self._describe_service() is None:
            return
        request: dict[str, Any] = {"cluster": self._cluster, "service": self._service}
        while True:
            answer = self._ecs.list_service_deployments(**request)
            yield from answer["serviceDeployments"]
            if not answer.get("nextToken"):
                return
            request["nextToken"] = answer["nextToken"]

    def _definition_arn(self, deployment: dict[str, Any]) -> str:
        revisions = [deployment["targetServiceRevisionArn"]]
        described = self._ecs.describe_service_revisions(serviceRevisionArns=revisions)
        return str(described["serviceRevisions"][0]["taskDefinition"])

    def _definition_and_tags(self, deployment: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
        arn = self._definition_arn(deployment)
        answer = self._ecs.describe_task_definition(taskDefinition=arn, include=["TAGS"])
        return answer["taskDefinition"], {tag["key"]: tag["value"] for tag in answer.get("tags", ())}

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
