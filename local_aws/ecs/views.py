"""Views of services, deployments and tasks for the Describe calls. Every view is one snapshot of the rows."""

from __future__ import annotations

from typing import Any, TypeVar

from local_aws.ecs.names import DEPLOYMENT, LIVE_TASK, OPEN_DEPLOYMENT, TASK, arn, invalid, short
from local_aws.errors import AwsError
from local_aws.pagination import page_of
from local_aws.resources import Resource, ResourceTable

T = TypeVar("T")
_MOST_PER_PAGE = 100

_ECHOED = (
    "loadBalancers", "serviceRegistries", "desiredCount", "capacityProviderStrategy", "networkConfiguration",
    "healthCheckGracePeriodSeconds", "enableECSManagedTags", "enableExecuteCommand", "propagateTags", "tags",
    "platformVersion",
)  # fmt: skip


def listed(
    member: str, arns: list[str], request: dict[str, Any], size: int = _MOST_PER_PAGE
) -> dict[str, Any]:
    """Return the answer of a List call: the ARNs of one page and the next token."""
    names, token = page(arns, request, size)
    return {member: names} | token


def page(rows: list[T], request: dict[str, Any], size: int) -> tuple[list[T], dict[str, str]]:
    """Return the rows of one page and the member with the next token. ``size`` is ECS's default."""
    if not 1 <= int(request.get("maxResults") or size) <= _MOST_PER_PAGE:
        raise invalid(f"maxResults must be between 1 and {_MOST_PER_PAGE}")
    found, token = page_of(rows, request, size, "nextToken", "maxResults")
    return list(found), token


def shown(views: list[dict[str, Any]], request: dict[str, Any]) -> list[dict[str, Any]]:
    """Return views with their tags only if the request includes them."""
    include = request.get("include", [])
    if others := sorted(set(include) - {"TAGS"}):
        raise AwsError("NotImplemented", f"local_aws does not implement include {', '.join(others)}", 501)
    hidden = () if include else ("tags",)
    return [{name: value for name, value in view.items() if name not in hidden} for view in views]


def deployment_configuration(service: Resource) -> dict[str, Any]:
    """Return the deployment configuration of a service with the defaults of ECS."""
    configuration: dict[str, Any] = {
        "strategy": "ROLLING",
        "maximumPercent": 200,
        "minimumHealthyPercent": 100,
        "deploymentCircuitBreaker": {"enable": False, "rollback": False},
    }
    configuration |= service.request.get("deploymentConfiguration", {})
    return configuration


def service_view(table: ResourceTable, service: Resource) -> dict[str, Any]:
    """Return the description of a service. In a deployment, only healthy tasks count as running."""
    tasks = table.list(TASK, service.name)
    deployments = [_roll_view(service, entry, tasks) for entry in service.detail["deployments"]]
    current = [row for row in table.list(DEPLOYMENT, service.name) if row.state in OPEN_DEPLOYMENT]
    view = {k: service.request[k] for k in _ECHOED if k in service.request}
    view |= {
        "serviceArn": arn(f"service/{service.name}"),
        "serviceName": service.request["serviceName"],
        "clusterArn": arn(f"cluster/{service.detail['cluster']}"),
        "status": service.state,
        "runningCount": sum(d["runningCount"] for d in deployments),
        "pendingCount": sum(d["pendingCount"] for d in deployments),
        "launchType": service.request.get("launchType", "FARGATE"),
        "taskDefinition": arn(f"task-definition/{service.request['taskDefinition']}"),
        "deploymentConfiguration": deployment_configuration(service),
        "deployments": deployments,
        "events": list(reversed(service.detail["events"]))[:100],
        "createdAt": service.created,
        "schedulingStrategy": "REPLICA",
        "deploymentController": {"type": "ECS"},
    }
    return view | ({"currentServiceDeployment": current[-1].name} if current else {})


def _roll_view(service: Resource, entry: dict[str, Any], tasks: list[Resource]) -> dict[str, Any]:
    mine = [t for t in tasks if t.detail["revision"] == entry["revision"] and t.state in LIVE_TASK]
    # in a deployment only healthy tasks count, or a waiter would see its end when the processes start
    rolling = entry["rolloutState"] == "IN_PROGRESS"
    running = [t for t in mine if t.state == "RUNNING" and (t.detail.get("healthy") or not rolling)]
    primary = entry["status"] == "PRIMARY"
    return {
        "id": entry["id"],
        "status": entry["status"],
        "taskDefinition": arn(f"task-definition/{entry['taskDefinition']}"),
        "desiredCount": service.request["desiredCount"] if primary else entry.get("wanted", 0),
        "pendingCount": len(mine) - len(running),
        "runningCount": len(running),
        "failedTasks": entry["failedTasks"],
        "createdAt": entry["createdAt"],
        "updatedAt": entry["updatedAt"],
        "launchType": service.request.get("launchType", "FARGATE"),
        "rolloutState": entry["rolloutState"],
        "rolloutStateReason": entry["rolloutStateReason"],
    }


def deployment_view(table: ResourceTable, row: Resource) -> dict[str, Any]:
    """Return the description of a service deployment in any state."""
    detail = row.detail
    tasks = table.list(TASK, row.parent)
    view: dict[str, Any] = {
        "serviceDeploymentArn": row.name,
        "serviceArn": arn(f"service/{row.parent}"),
        "clusterArn": arn(f"cluster/{row.parent.split('/')[0]}"),
        "createdAt": row.created,
        "updatedAt": row.updated,
        "status": row.state,
        "statusReason": detail.get("reason", ""),
        "targetServiceRevision": _revision_view(detail["target"], tasks, detail["desired"]),
        "sourceServiceRevisions": [_revision_view(name, tasks, 0) for name in detail["sources"]],
        "deploymentConfiguration": detail["configuration"],
        "deploymentCircuitBreaker": {
            "status": detail["breaker"],
            "failureCount": detail["failures"],
            "threshold": detail["threshold"],
        },
    }
    for member, key in (("startedAt", "started"), ("finishedAt", "finished"), ("stoppedAt", "stopped")):
        if key in detail:
            view[member] = detail[key]
    if "rollback" in detail:
        view["rollback"] = detail["rollback"]
    return view


def _revision_view(revision: str, tasks: list[Resource], requested: int) -> dict[str, Any]:
    mine = [t for t in tasks if t.detail["revision"] == revision and t.state in LIVE_TASK]
    running = sum(t.state == "RUNNING" for t in mine)
    return {
        "arn": revision,
        "requestedTaskCount": requested,
        "runningTaskCount": running,
        "pendingTaskCount": len(mine) - running,
    }


def task_view(task: Resource, definition: Resource | None) -> dict[str, Any]:
    """Return the description of a task. A task without its definition has no containers."""
    detail = task.detail
    named = definition.request["containerDefinitions"] if definition else []
    answer = {
        "taskArn": task.name,
        "clusterArn": arn(f"cluster/{detail['cluster']}"),
        "taskDefinitionArn": arn(f"task-definition/{detail['definition']}"),
        "containers": [_container_view(task, i, container) for i, container in enumerate(named)],
        "lastStatus": task.state,
        "desiredStatus": "RUNNING" if task.state in LIVE_TASK else "STOPPED",
        "group": detail.get("group", ""),
        "startedBy": detail.get("started_by", ""),
        "launchType": "FARGATE",
        "createdAt": task.created,
        "healthStatus": "UNKNOWN",
        "version": 1,
        "tags": detail.get("tags", []),
    }
    members = {
        "pullStartedAt": "pull_started",
        "startedAt": "started",
        "stoppingAt": "stopping",
        "stoppedAt": "stopped",
        "stopCode": "stop_code",
        "stoppedReason": "stop_reason",
    }
    return answer | {member: detail[key] for member, key in members.items() if key in detail}


def _container_view(task: Resource, index: int, container: dict[str, Any]) -> dict[str, Any]:
    detail = task.detail
    codes = detail.get("exit_codes", [])
    view = {
        "containerArn": arn(f"container/{detail['cluster']}/{short(task.name)}/{index}"),
        "taskArn": task.name,
        "name": container["name"],
        "image": container["image"],
        "lastStatus": task.state if task.state in ("RUNNING", "STOPPED") else "PENDING",
        "networkBindings": [
            {
                "bindIP": "127.0.0.1",
                "containerPort": mapping["containerPort"],
                "hostPort": detail["port"],
                "protocol": "tcp",
            }
            for mapping in container.get("portMappings", [])
            if "port" in detail
        ],
        "healthStatus": "UNKNOWN",
    }
    if index < len(codes) and codes[index] is not None:
        view["exitCode"] = codes[index]
    if detail.get("stop_code") == "TaskFailedToStart":
        view["reason"] = detail["stop_reason"]
    return view
