"""Starts, describes and rolls back deployments of an ECS service, which are identified by their ARNs.

The waiter ``services_stable`` cannot be used: it reports success for a service that was rolled back.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

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


_IN_PROGRESS = tuple(name for name, state in ROLLOUT_STATES.items() if state is RolloutState.ACTIVE)
#: The states in which StopServiceDeployment is accepted. It refuses a deployment that is rolling back.
_STOPPABLE = ("PENDING", "IN_PROGRESS")
#: The tag of a task definition that names the task that registered it. Deployments have no tags.
_OWNER_TAG = "rollout"
#: ECS's limits on one call.
_DEPLOYMENTS_PER_LIST, _REVISIONS_PER_DESCRIPTION = 100, 20
_NO_SERVICE = "ServiceNotFoundException"
_NO_STOP = ("ConflictException", "ServiceDeploymentNotFoundException", _NO_SERVICE)


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

    def start(self, settings: Settings, task_definition_arn: str, *, may_create: bool = True) -> None:
        """Update the service, or create it. Then ``deployment_of`` returns the new deployment.

        :param may_create: False if the service exists, so that ECS refuses if a person deletes it meanwhile
        """
        if may_create and self._describe_service() is None:
            target_group = find_target_group(settings.serving.target_group)
            self._ecs.create_service(**create_service(settings, task_definition_arn, target_group))
        else:
            self._ecs.update_service(**update_service(settings, task_definition_arn))

    def deployment_of(self, task_definition_arn: str, since: datetime) -> str | None:
        """Return the ARN of the first deployment of a revision, or None if it was never deployed.

        Only the first one belongs to the task that registered the revision. A later one is a rollback to it.

        :param since: when the revision was registered; no deployment of it is older
        """
        listed = [
            entry for entry in self._deployments(createdAt={"after": since}) if entry["createdAt"] >= since
        ]
        listed.sort(key=lambda entry: entry["createdAt"])
        # the first is usually found in the first batch
        for start in range(0, len(listed), _REVISIONS_PER_DESCRIPTION):
            batch = listed[start : start + _REVISIONS_PER_DESCRIPTION]
            definitions = self._definition_arns(batch)
            for entry in batch:
                if definitions.get(entry["targetServiceRevisionArn"]) == task_definition_arn:
                    return str(entry["serviceDeploymentArn"])
        return None

    def service_status(self) -> str:
        """Return ACTIVE, DRAINING while the service is being deleted, INACTIVE, or empty for none."""
        answer = self._ecs.describe_services(cluster=self._cluster, services=[self._service])
        return str(answer["services"][0]["status"]) if answer["services"] else ""

    def target(self) -> str:
        """Return the task definition of the newest deployment, or '' if there is no service.

        During a rollout it is the one that is rolled out, which may never become healthy.
        """
        service = self._describe_service()
        return str(service["taskDefinition"]) if service else ""

    def steady(self) -> str:
        """Return the task definition of the last deployment that succeeded, or '' if there is none.

        This is the revision that serves, and the one that ECS rolls back to.
        """
        service = self._describe_service()
        if service is None:
            return ""
        completed = [entry for entry in service["deployments"] if entry.get("rolloutState") == "COMPLETED"]
        if completed:
            return str(max(completed, key=lambda entry: entry["createdAt"])["taskDefinition"])
        # a service lists an old deployment only while it has tasks, and ECS keeps the history for 90 days
        bounds = {"status": ["SUCCESSFUL"], "createdAt": {"after": service["createdAt"]}}
        history = self._deployments(**bounds)
        last = max(history, key=lambda entry: entry["createdAt"], default=None)
        return next(iter(self._definition_arns([last]).values()), "") if last else ""

    def is_rolling(self) -> bool:
        """Return True if a rollout or a rollback is in progress."""
        return next(self._deployments(status=list(_IN_PROGRESS)), None) is not None

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
        """Describe one deployment. It has failed if ECS has forgotten it together with its service."""
        raw = self._described(deployment_arn)
        if raw is not None:
            state = known_state(ROLLOUT_STATES, raw["status"], "ECS service deployment")
            return RolloutView(state, raw["status"], rollout_reason(raw), raw)
        status = self.service_status()
        if status != "ACTIVE":
            return RolloutView(RolloutState.FAILED, status or "INACTIVE", "the service was deleted")
        raise InputError(
            "no such deployment",
            where=deployment_arn,
            remedy="look at the deployments of the service: it may have been deleted and created again",
        )

    def stop(self, deployment_arn: str) -> None:
        """Roll an unfinished deployment back. Do nothing if it has ended, is rolling back or is gone."""
        raw = self._described(deployment_arn)
        if raw is not None and raw["status"] in _STOPPABLE:
            request = {"serviceDeploymentArn": deployment_arn, "stopType": "ROLLBACK"}
            # after mark-failed the trigger and the listener stop it at the same time
            unless(_NO_STOP, self._ecs.stop_service_deployment, **request)

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
        names = {"cluster": self._cluster, "service": self._service}
        request: dict[str, Any] = names | {"maxResults": _DEPLOYMENTS_PER_LIST} | bounds
        while True:
            answer = self._ecs.list_service_deployments(**request)
            yield from answer["serviceDeployments"]
            if not answer.get("nextToken"):
                return
            request["nextToken"] = answer["nextToken"]

    def _described(self, deployment_arn: str) -> dict[str, Any] | None:
        """Describe one deployment. Return None if ECS does not know it."""
        try:
            answer = self._ecs.describe_service_deployments(serviceDeploymentArns=[deployment_arn])
        except ClientError as error:
            if error.response["Error"]["Code"] != _NO_SERVICE:
                raise
            return None
        return next(iter(answer["serviceDeployments"]), None)

    def _definition_arns(self, deployments: list[dict[str, Any]]) -> dict[str, str]:
        """Return the task definitions of at most 20 deployments, by the ARN of the service revision."""
        arns = [entry["targetServiceRevisionArn"] for entry in deployments]
        answer = self._ecs.describe_service_revisions(serviceRevisionArns=arns)
        return {found["serviceRevisionArn"]: found["taskDefinition"] for found in answer["serviceRevisions"]}

    def _definition_and_tags(self, deployment: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
        arn = self._definition_arns([deployment])[deployment["targetServiceRevisionArn"]]
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
