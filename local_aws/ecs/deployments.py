"""The deployments of a service: create one, end it, and roll back to the previous one.

A service row holds ``deployments``: the PRIMARY one first, then older ones while they still have tasks.
``DEPLOYMENT`` rows are the history that DescribeServiceDeployments shows.
"""

from __future__ import annotations

import math
import time
from typing import Any

from local_aws.ecs.names import DEPLOYMENT, LIVE_TASK, OPEN_DEPLOYMENT, REVISION, TASK, arn, new_id
from local_aws.ecs.views import deployment_configuration
from local_aws.resources import Resource, ResourceTable


def new_deployment(table: ResourceTable, service: Resource) -> None:
    """Add a PRIMARY deployment of the current ``service.request`` (``service`` is being edited)."""
    now = time.time()
    revision = arn(f"service-revision/{service.name}/{int(now * 1e6)}")
    content = {
        k: service.request.get(k) for k in ("taskDefinition", "loadBalancers") if service.request.get(k)
    }
    table.insert(Resource(REVISION, revision, "ACTIVE", content, parent=service.name))
    entry = {
        "id": f"ecs-svc/{int(now * 1e6):019d}",
        "status": "PRIMARY",
        "taskDefinition": service.request["taskDefinition"],
        "revision": revision,
        "history": arn(f"service-deployment/{service.name}/{new_id(20)}"),
        "failedTasks": 0,
        "createdAt": now,
        "updatedAt": now,
        "rolloutState": "IN_PROGRESS",
        "rolloutStateReason": "",
        "completed": False,
        "next_start": 0.0,
    }
    entry["rolloutStateReason"] = f"ECS deployment {entry['id']} in progress."
    older = service.detail["deployments"]
    tasks = table.list(TASK, service.name)
    running = {task.detail["revision"] for task in tasks if task.state in LIVE_TASK}
    for other in older:
        other["status"] = "ACTIVE"
        # an old task that crashes is replaced by the same revision until enough new tasks are healthy
        other.setdefault("wanted", service.request["desiredCount"] if other["completed"] else 0)
    service.detail["deployments"] = [entry, *older]
    configuration = deployment_configuration(service)
    breaker = configuration["deploymentCircuitBreaker"]
    detail = {
        "target": revision,
        "sources": [other["revision"] for other in older if other["revision"] in running],
        "desired": service.request["desiredCount"],
        "configuration": configuration,
        "started": now,
        "failures": 0,
        "threshold": breaker_threshold(breaker, service.request["desiredCount"]),
        "breaker": "MONITORING" if breaker.get("enable") else "DISABLED",
    }
    table.insert(Resource(DEPLOYMENT, entry["history"], "IN_PROGRESS", {}, detail, parent=service.name))


def supersede(table: ResourceTable, service: Resource, reason: str) -> None:
    """Stop the open deployments in the history, because of a newer one or the end of the service.

    A rollback that is replaced leaves its target as it was: the last deployment that was completed.
    """
    for row in table.list(DEPLOYMENT, service.name):
        if row.state in OPEN_DEPLOYMENT:
            state = "ROLLBACK_FAILED" if row.state.startswith("ROLLBACK") else "STOPPED"
            close(table, row.name, state, reason)
    for entry in service.detail["deployments"]:
        if entry["rolloutState"] != "IN_PROGRESS":
            continue
        if entry["completed"]:
            entry.pop("rollback_of", None)
            entry |= {"rolloutState": "COMPLETED", "rolloutStateReason": completed_reason(entry)}
        else:
            entry["rolloutState"] = "FAILED"
            entry["rolloutStateReason"] = f"ECS deployment {entry['id']} ended: {reason}"


def completed_reason(entry: dict[str, Any]) -> str:
    """Return ECS's reason for the state COMPLETED."""
    return f"ECS deployment {entry['id']} completed."


def begin_rollback(table: ResourceTable, service: Resource, reason: str) -> bool:
    """Make the last completed deployment PRIMARY again. Return False if there is none."""
    failed, *older = service.detail["deployments"]
    target = next((entry for entry in older if entry["completed"]), None)
    if target is None:
        return False
    now = time.time()
    failed |= {"status": "ACTIVE", "rolloutState": "FAILED", "rolloutStateReason": reason, "updatedAt": now}
    failed["wanted"] = 0
    target.pop("wanted", None)
    target |= {
        "status": "PRIMARY",
        "rolloutState": "IN_PROGRESS",
        "rolloutStateReason": f"{reason.partition(':')[0]}: rolling back to deploymentId {target['id']}.",
        "updatedAt": now,
        "rollback_of": failed["history"],
    }
    others = [entry for entry in older if entry is not target]
    service.detail["deployments"] = [target, failed, *others]
    service.request["taskDefinition"] = target["taskDefinition"]
    row = table.get(REVISION, target["revision"])
    if row is not None and row.request.get("loadBalancers"):
        service.request["loadBalancers"] = row.request["loadBalancers"]
    with table.editing(DEPLOYMENT, failed["history"]) as history:
        history.state = "ROLLBACK_IN_PROGRESS"
        history.detail["reason"] = reason
        history.detail["rollback"] = {
            "reason": reason,
            "startedAt": now,
            "serviceRevisionArn": target["revision"],
        }
    return True


def stall(table: ResourceTable, service: Resource, state: str, reason: str) -> None:
    """Mark the PRIMARY deployment as failed without a rollback. No more of its tasks are started."""
    primary = service.detail["deployments"][0]
    primary |= {"rolloutState": "FAILED", "rolloutStateReason": reason, "updatedAt": time.time()}
    close(table, primary["history"], state, reason)


def breaker_threshold(breaker: dict[str, Any], desired: int) -> int:
    """Return the number of failures that trip the breaker: by default half of ``desired``, from 3 to 200."""
    configured = breaker.get("thresholdConfiguration")
    if not configured:
        return min(200, max(3, math.ceil(desired * 0.5)))
    if configured["type"] == "COUNT":
        return int(configured["value"])
    share = max(1, math.ceil(desired * configured["value"] / 100))
    return int(min(200, max(3, share)) if configured["type"] == "BOUNDED_PERCENT" else share)


def close(table: ResourceTable, name: str, state: str, reason: str) -> None:
    """Record the final state of the entry ``name`` of the history."""
    with table.editing(DEPLOYMENT, name) as row:
        now = time.time()
        row.state = state
        row.detail["finished"] = now
        if reason:
            row.detail["reason"] = reason
        if state == "STOPPED":
            row.detail["stopped"] = now
        if row.detail["breaker"] == "MONITORING":
            row.detail["breaker"] = "MONITORING_COMPLETE"


def forget(table: ResourceTable, service: Resource) -> None:
    """Delete the history of a service that is gone. A later service of this name has its own."""
    for kind in (DEPLOYMENT, REVISION):
        for row in table.list(kind, service.name):
            table.delete(kind, row.name)
