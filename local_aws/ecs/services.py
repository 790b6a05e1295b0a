"""The operations on services, their deployments and tasks."""

from __future__ import annotations

import math
from typing import Any

from local_aws.ecs.definitions import Definitions
from local_aws.ecs.deployments import begin_rollback, new_deployment, stall, supersede
from local_aws.ecs.names import (
    DEFINITION,
    DEPLOYMENT,
    LIVE_TASK,
    OPEN_DEPLOYMENT,
    REVISION,
    SERVICE,
    TASK,
    arn,
    client_error,
    invalid,
    short,
)
from local_aws.ecs.tasks import Tasks
from local_aws.ecs.views import deployment_view, listed, page, service_view, shown, task_view
from local_aws.elbv2.groups import users
from local_aws.elbv2.names import GROUP
from local_aws.errors import AwsError
from local_aws.front_door.operations import Handler
from local_aws.resources import Resource, ResourceTable

_DRAINING = "Unable to Start a service that is still Draining."
_IN_USE = "Creation of service was not idempotent."
_SERVICES_PER_PAGE, _DEPLOYMENTS_PER_PAGE = 10, 20
_ROLLED = ("taskDefinition", "loadBalancers", "networkConfiguration", "capacityProviderStrategy")


class Services:
    """The operations on services. ``Rollouts`` carries out the deployments."""

    def __init__(self, table: ResourceTable, definitions: Definitions, tasks: Tasks) -> None:
        self._table = table
        self._definitions = definitions
        self._tasks = tasks

    def handlers(self) -> dict[str, Handler]:
        """Return the handlers by operation name."""
        return {
            "CreateService": self.create,
            "UpdateService": self.update,
            "DescribeServices": self.describe,
            "ListServices": self.list,
            "DeleteService": self.delete,
            "ListTasks": self.list_tasks,
            "DescribeTasks": self.describe_tasks,
            "StopTask": self.stop_task,
            "RunTask": self.run_task,
            "ListServiceDeployments": self.list_deployments,
            "DescribeServiceDeployments": self.describe_deployments,
            "DescribeServiceRevisions": self.describe_revisions,
            "StopServiceDeployment": self.stop_deployment,
        }

    def create(self, request: dict[str, Any]) -> dict[str, Any]:
        cluster = self._definitions.cluster(request.get("cluster")).name
        self._check(request)
        definition = self._definitions.definition(request["taskDefinition"])
        name = f"{cluster}/{request['serviceName']}"
        existing = self._table.get(SERVICE, name)
        if existing and existing.state != "INACTIVE":
            raise invalid(_DRAINING if existing.state == "DRAINING" else _IN_USE)
        self._table.delete(SERVICE, name)
        request = {
            **request,
            "taskDefinition": definition.name,
            "desiredCount": int(request.get("desiredCount", 1)),
        }
        detail: dict[str, Any] = {"deployments": [], "events": [], "cluster": cluster}
        service = Resource(SERVICE, name, "ACTIVE", request, detail)
        new_deployment(self._table, service)
        self._table.insert(service)
        return {"service": service_view(self._table, service)}

    def update(self, request: dict[str, Any]) -> dict[str, Any]:
        name = self._service(request).name
        self._check(request)
        changes = {k: v for k, v in request.items() if k not in ("cluster", "service", "forceNewDeployment")}
        if "taskDefinition" in changes:
            changes["taskDefinition"] = self._definitions.definition(changes["taskDefinition"]).name
        with self._table.editing(SERVICE, name) as service:
            if service.state != "ACTIVE":
                raise AwsError("ServiceNotActiveException", "Service was not ACTIVE.")
            rolled = request.get("forceNewDeployment") or any(
                k in changes and changes[k] != service.request.get(k) for k in _ROLLED
            )
            service.request |= changes
            if rolled:
                supersede(self._table, service, "A newer deployment replaced it.")
                new_deployment(self._table, service)
            return {"service": service_view(self._table, service)}

    def describe(self, request: dict[str, Any]) -> dict[str, Any]:
        cluster = self._definitions.cluster(request.get("cluster")).name
        found, failures = [], []
        for name in request["services"]:
            service = self._table.get(SERVICE, f"{cluster}/{short(name)}")
            if service is None:
                failures.append({"arn": arn(f"service/{cluster}/{short(name)}"), "reason": "MISSING"})
            else:
                found.append(service_view(self._table, service))
        return {"services": shown(found, request), "failures": failures}

    def list(self, request: dict[str, Any]) -> dict[str, Any]:
        cluster = self._definitions.cluster(request.get("cluster")).name
        names = [
            s.name
            for s in self._table.list(SERVICE)
            if s.detail["cluster"] == cluster and s.state == "ACTIVE"
        ]
        return listed("serviceArns", [arn(f"service/{name}") for name in names], request, _SERVICES_PER_PAGE)

    def delete(self, request: dict[str, Any]) -> dict[str, Any]:
        name = self._service(request).name
        with self._table.editing(SERVICE, name) as service:
            if service.request["desiredCount"] > 0 and not request.get("force"):
                raise invalid("The service cannot be stopped while it is scaled above 0.")
            service.state = "DRAINING"
            service.request["desiredCount"] = 0
            supersede(self._table, service, "The service was deleted.")
            return {"service": service_view(self._table, service)}

    # ---- tasks ----------------------------------------------------------------------------
    def list_tasks(self, request: dict[str, Any]) -> dict[str, Any]:
        cluster = self._definitions.cluster(request.get("cluster")).name
        desired = request.get("desiredStatus", "RUNNING")
        rows = self._table.list(TASK)
        if "serviceName" in request:
            rows = [t for t in rows if t.parent == f"{cluster}/{short(request['serviceName'])}"]
        if "family" in request:
            rows = [t for t in rows if t.detail["definition"].split(":")[0] == request["family"]]
        if "startedBy" in request:
            rows = [t for t in rows if t.detail.get("started_by") == request["startedBy"]]
        names = [
            t.name
            for t in rows
            if t.detail["cluster"] == cluster
            and ("RUNNING" if t.state in LIVE_TASK else "STOPPED") == desired
        ]
        return listed("taskArns", names, request)

    def describe_tasks(self, request: dict[str, Any]) -> dict[str, Any]:
        cluster = self._definitions.cluster(request.get("cluster")).name
        found, failures = [], []
        for name in request["tasks"]:
            full = arn(f"task/{cluster}/{short(name)}")
            task = self._table.get(TASK, full)
            if task is None:
                failures.append({"arn": full, "reason": "MISSING"})
            else:
                found.append(task_view(task, self._table.get(DEFINITION, task.detail["definition"])))
        return {"tasks": shown(found, request), "failures": failures}

    def stop_task(self, request: dict[str, Any]) -> dict[str, Any]:
        cluster = self._definitions.cluster(request.get("cluster")).name
        name = arn(f"task/{cluster}/{short(request['task'])}")
        if self._table.get(TASK, name) is None:
            raise invalid("The referenced task was not found.")
        self._tasks.request_stop(name, "UserInitiated", request.get("reason", "Task stopped by user"))
        task = self._table.get(TASK, name)
        assert task is not None
        return {"task": task_view(task, self._table.get(DEFINITION, task.detail["definition"]))}

    def run_task(self, request: dict[str, Any]) -> dict[str, Any]:
        cluster = self._definitions.cluster(request.get("cluster")).name
        definition = self._definitions.definition(request["taskDefinition"])
        tasks = [
            self._tasks.create(
                cluster,
                definition.name,
                overrides=request.get("overrides", {}),
                group=request.get("group", f"family:{definition.parent}"),
                started_by=request.get("startedBy", ""),
                tags=request.get("tags", []),
            )
            for _ in range(int(request.get("count", 1)))
        ]
        return {"tasks": [task_view(task, definition) for task in tasks], "failures": []}

    # ---- deployments ----------------------------------------------------------------------
    def list_deployments(self, request: dict[str, Any]) -> dict[str, Any]:
        service = self._service(request)
        created, states = request.get("createdAt", {}), request.get("status")
        after, before = created.get("after", -math.inf), created.get("before", math.inf)
        rows = [
            row
            for row in reversed(self._table.list(DEPLOYMENT, service.name))
            if (not states or row.state in states) and after <= row.created <= before
        ]
        rows, token = page(rows, request, _DEPLOYMENTS_PER_PAGE)
        views = [deployment_view(self._table, row) for row in rows]
        members = (
            "serviceDeploymentArn", "serviceArn", "clusterArn", "startedAt", "createdAt", "finishedAt",
            "status", "statusReason",
        )  # fmt: skip
        brief = [
            {m: v[m] for m in members if m in v}
            | {"targetServiceRevisionArn": v["targetServiceRevision"]["arn"]}
            for v in views
        ]
        return {"serviceDeployments": brief} | token

    def describe_deployments(self, request: dict[str, Any]) -> dict[str, Any]:
        found, failures = [], []
        for name in request["serviceDeploymentArns"]:
            row = self._table.get(DEPLOYMENT, name)
            if row is None:
                failures.append({"arn": name, "reason": "MISSING"})
            else:
                found.append(deployment_view(self._table, row))
        return {"serviceDeployments": found, "failures": failures}

    def describe_revisions(self, request: dict[str, Any]) -> dict[str, Any]:
        found, failures = [], []
        for name in request["serviceRevisionArns"]:
            row = self._table.get(REVISION, name)
            if row is None:
                failures.append({"arn": name, "reason": "MISSING"})
                continue
            found.append(
                {
                    "serviceRevisionArn": name,
                    "serviceArn": arn(f"service/{row.parent}"),
                    "clusterArn": arn(f"cluster/{row.parent.split('/')[0]}"),
                    "taskDefinition": arn(f"task-definition/{row.request['taskDefinition']}"),
                    "loadBalancers": row.request.get("loadBalancers", []),
                    "launchType": "FARGATE",
                    "createdAt": row.created,
                }
            )
        return {"serviceRevisions": found, "failures": failures}

    def stop_deployment(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["serviceDeploymentArn"]
        row = self._table.get(DEPLOYMENT, name)
        if row is None:
            raise AwsError("ServiceDeploymentNotFoundException", "The service deployment was not found.")
        if row.state not in OPEN_DEPLOYMENT or row.state.startswith("ROLLBACK"):
            raise AwsError("ConflictException", f"The service deployment is {row.state}.")
        if request.get("stopType", "ROLLBACK") != "ROLLBACK":
            raise AwsError("NotImplemented", "local_aws: StopServiceDeployment with stopType ABORT", 501)
        reason = "Service deployment stopped by user"
        with self._table.editing(SERVICE, row.parent) as service:
            if not begin_rollback(self._table, service, reason):
                stall(self._table, service, "ROLLBACK_FAILED", f"{reason}. No rollback candidate was found.")
        return {"serviceDeploymentArn": name}

    # ---- shared ---------------------------------------------------------------------------
    def _service(self, request: dict[str, Any]) -> Resource:
        cluster = self._definitions.cluster(request.get("cluster")).name
        service = self._table.get(SERVICE, f"{cluster}/{short(request['service'])}")
        if service is None or service.state == "INACTIVE":
            raise AwsError("ServiceNotFoundException", "Service not found.")
        return service

    def _check(self, request: dict[str, Any]) -> None:
        configuration = request.get("deploymentConfiguration", {})
        strategy = configuration.get("strategy", "ROLLING")
        if strategy != "ROLLING":
            raise AwsError("NotImplemented", f"local_aws does not implement the {strategy} strategy yet", 501)
        if configuration.get("alarms", {}).get("enable"):
            names = ", ".join(configuration["alarms"].get("alarmNames", ()))
            raise _ignored("alarms", f"no alarm ({names}) would end or roll back a deployment")
        if configuration.get("lifecycleHooks"):
            raise _ignored("lifecycleHooks", "no deployment would pause or call a function")
        if configuration.get("bakeTimeInMinutes"):
            raise _ignored("bakeTimeInMinutes", "the old tasks would be stopped at once")
        low = configuration.get("minimumHealthyPercent", 100)
        high = configuration.get("maximumPercent", 200)
        if high <= low and high <= 100 <= low:
            raise invalid(
                "no task could be replaced: raise maximumPercent above 100 or lower minimumHealthyPercent"
            )
        for balancer in request.get("loadBalancers", []):
            if self._table.get(GROUP, balancer.get("targetGroupArn", "")) is None:
                raise invalid(f"The target group {balancer.get('targetGroupArn')} does not exist.")
            if not users(self._table, balancer["targetGroupArn"]):
                raise invalid(
                    f"The target group with targetGroupArn {balancer['targetGroupArn']} does not have an"
                    " associated load balancer."
                )
        if "serviceName" in request and not request["serviceName"]:
            raise client_error("serviceName must not be empty")


def _ignored(member: str, consequence: str) -> AwsError:
    """Return the error for a setting that local_aws would otherwise ignore silently."""
    message = f"local_aws does not implement deploymentConfiguration.{member} yet: {consequence}"
    return AwsError("NotImplemented", message, 501)
