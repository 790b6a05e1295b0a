"""Starts, describes and rolls back deployments of an ECS service, which are identified by their ARNs.

The waiter ``services_stable`` cannot be used: it reports success for a service that was rolled back.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from include.aws.clients import client, unless
from include.aws.ecs import create_service, update_service
from include.aws.job_states import known_state
from include.contracts.errors import InputError
from include.contracts.manifests import ParentRef
from include.contracts.storage import S3Uri
from include.settings import Settings


class RolloutState(enum.StrEnum):
    """The states of a deployment."""

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


#: The states in which StopServiceDeployment is accepted. It refuses a deployment that is rolling back.
_STOPPABLE = ("PENDING", "IN_PROGRESS")
#: The tag of a task definition that names the task that registered it. Deployments have no tags.
_OWNER_TAG = "rollout"


@dataclass(frozen=True)
class RolloutView:
    """The description of a deployment. ``status`` and ``reason`` are for people."""

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

    def register(self, task_definition: dict[str, Any], owner: str) -> tuple[str, datetime]:
        """Register a new revision as ``owner``'s. Return its ARN and when it was registered."""
        tags = [*task_definition.get("tags", ()), {"key": _OWNER_TAG, "value": owner}]
        answer = self._ecs.register_task_definition(**(task_definition | {"tags": tags}))
        registered = answer["taskDefinition"]
        return str(registered["taskDefinitionArn"]), registered["registeredAt"]

    def start(self, settings: Settings, task_definition_arn: str) -> None:
        """Create or update the service. Then ``deployment_of`` returns the new deployment."""
        if self._describe_service() is None:
            target_group = find_target_group(settings.serving.target_group)
            self._ecs.create_service(**create_service(settings, task_definition_arn, target_group))
        else:
            self._ecs.update_service(**update_service(settings, task_definition_arn))

    def deployment_of(self, task_definition_arn: str, since: datetime) -> str | None:
        """Return the ARN of the first deployment of a revision, or None if it was never deployed.

        Only the first one belongs to the task that registered the revision. A later one is a rollback to it.

        :param since: when the revision was registered; no deployment of it is older
        """
        found = [
            entry
            for entry in self._deployments(createdAt={"after": since})
            if entry["createdAt"] >= since and self._definition_arn(entry) == task_definition_arn
        ]
        first = min(found, key=lambda entry: entry["createdAt"], default=None)
        return str(first["serviceDeploymentArn"]) if first else None

    def service_status(self) -> str:
        """Return ACTIVE, DRAINING while the service is being deleted, INACTIVE, or empty for none."""
        answer = self._ecs.describe_services(cluster=self._cluster, services=[self._service])
        return str(answer["services"][0]["status"]) if answer["services"] else ""

    def serving(self) -> str:
        """Return the ARN of the service's task definition, or '' if there is no service."""
        service = self._describe_service()
        return str(service["taskDefinition"]) if service else ""

    def model_of(self, task_definition_arn: str) -> ParentRef | None:
        """Return the manifest of a task definition of ``include.aws.ecs``, or None for any other."""
        answer = self._ecs.describe_task_definition(taskDefinition=task_definition_arn)
        entries = answer["taskDefinition"]["containerDefinitions"][0].get("environment", ())
        environment = {entry["name"]: entry["value"] for entry in entries}
        if not {"MODEL_URI", "MODEL_MANIFEST_SHA256"} <= set(environment):
            return None
        uri = S3Uri.parse(environment["MODEL_URI"]).folder / "manifest.json"
        return ParentRef(str(uri), environment["MODEL_MANIFEST_SHA256"])

    def look(self, deployment_arn: str) -> RolloutView:
        """Describe one deployment."""
        answer = self._ecs.describe_service_deployments(serviceDeploymentArns=[deployment_arn])
        if not answer["serviceDeployments"]:
            failures = answer.get("failures", [])
            raise InputError("no such deployment", where=deployment_arn, got=str(failures))
        raw = answer["serviceDeployments"][0]
        state = known_state(ROLLOUT_STATES, raw["status"], "ECS service deployment")
        return RolloutView(state, raw["status"], rollout_reason(raw), raw)

    def stop(self, deployment_arn: str) -> None:
        """Roll an unfinished deployment back. Do nothing if it has ended or is rolling back."""
        if self.look(deployment_arn).status in _STOPPABLE:
            request = {"serviceDeploymentArn": deployment_arn, "stopType": "ROLLBACK"}
            # after mark-failed the trigger and the listener stop it at the same time
            unless("ConflictException", self._ecs.stop_service_deployment, **request)

    def stop_of(self, owner: str) -> list[str]:
        """Roll back unfinished deployments of the revisions that ``owner`` registered. Return their ARNs."""
        stopped = []
        for entry in self._deployments(status=list(_STOPPABLE)):
            definition, tags = self._definition_and_tags(entry)
            if tags.get(_OWNER_TAG) != owner:
                continue
            arn = str(entry["serviceDeploymentArn"])
            if self.deployment_of(definition["taskDefinitionArn"], definition["registeredAt"]) == arn:
                self.stop(arn)
                stopped.append(arn)
        return stopped

    def _deployments(self, **bounds: Any) -> Iterator[dict[str, Any]]:
        """List the deployments of the service within ECS's own filters; none without a service."""
        if self._describe_service() is None:
            return
        request: dict[str, Any] = {"cluster": self._cluster, "service": self._service} | bounds
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
        """Describe the service. Return None if there is none or it is being deleted."""
        answer = self._ecs.describe_services(cluster=self._cluster, services=[self._service])
        alive = [service for service in answer["services"] if service["status"] == "ACTIVE"]
        return alive[0] if alive else None


def rollout_reason(raw: dict[str, Any]) -> str:
    """Return why a deployment did not succeed, from all of ECS's reports."""
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
    """Return the ARN of a target group. Raises InputError when there is none."""
    elbv2 = client("elbv2")
    try:
        groups = elbv2.describe_target_groups(Names=[name])["TargetGroups"]
    except elbv2.exceptions.TargetGroupNotFoundException:
        groups = []
    if not groups:
        remedy = "deploy the serving stack, or correct serving.target_group"
        raise InputError("no such target group", where=name, remedy=remedy)
    return str(groups[0]["TargetGroupArn"])
