"""Rolling deployments: replace tasks within the healthy percentages, and trip the breaker."""

from __future__ import annotations

import math
import time
from typing import Any

from local_aws.ecs.deployments import begin_rollback, close, completed_reason, forget, stall
from local_aws.ecs.names import DEPLOYMENT, LIVE_TASK, SERVICE, TASK, new_id
from local_aws.ecs.tasks import Tasks
from local_aws.ecs.views import deployment_configuration
from local_aws.elbv2.targets import Targets
from local_aws.resources import Resource, ResourceTable

_BACKOFF_SECONDS = 0.5
_SETTLE_SECONDS = 1.0
_MAX_BACKOFF_SECONDS = 10.0


class Rollouts:
    """The executor of ECS. ``tick`` advances the tasks, then the services."""

    def __init__(self, table: ResourceTable, tasks: Tasks, groups: Targets) -> None:
        self._table = table
        self._tasks = tasks
        self._groups = groups

    def adopt(self) -> None:
        """Adopt the running tasks. The next tick replaces those that have ended."""
        self._tasks.adopt()

    def stop(self) -> None:
        """Stop all tasks. Services keep their desired counts."""
        self._tasks.stop_all()

    def tick(self) -> None:
        """Advance every task and service by one step."""
        self._tasks.tick()
        for service in self._table.list(SERVICE):
            if service.state == "ACTIVE":
                self._judge(service)
                self._reconcile(service.name)
            elif service.state == "DRAINING":
                self._drain(service)

    def _judge(self, service: Resource) -> None:
        """Record which tasks are healthy, stop unhealthy ones, and count failures of deployments."""
        grace = float(service.request.get("healthCheckGracePeriodSeconds", 0))
        for task in self._table.list(TASK, service.name):
            if task.state == "RUNNING":
                states = self._states(task)
                # without a load balancer, a task that does not crash at once counts as healthy
                settled = bool(states) or time.time() - task.detail["started"] > _SETTLE_SECONDS
                healthy = settled and all(state == "healthy" for state in states)
                unhealthy = any(state == "unhealthy" for state in states)
                if healthy != bool(task.detail.get("healthy")):
                    with self._table.editing(TASK, task.name) as row:
                        row.detail["healthy"] = healthy
                    if healthy:
                        self._forgive(service.name, task)
                if unhealthy and time.time() - task.detail["started"] > grace:
                    self._count_failure(service.name, task)
                    group = task.detail["balancers"][0]["targetGroupArn"]
                    reason = f"Task failed ELB health checks in (target-group {group})"
                    self._tasks.request_stop(task.name, "ServiceSchedulerInitiated", reason)
            elif task.state not in LIVE_TASK and task.detail.get("stop_code") in (
                "EssentialContainerExited",
                "TaskFailedToStart",
            ):
                self._count_failure(service.name, task)

    def _states(self, task: Resource) -> list[str]:
        port = task.detail["port"]
        balancers = task.detail.get("balancers", [])
        return [self._groups.state(b["targetGroupArn"], "127.0.0.1", port)[0] for b in balancers]

    def _forgive(self, name: str, task: Resource) -> None:
        """Reset the failure counts of a deployment, because one of its tasks is healthy."""
        with self._table.editing(SERVICE, name) as service:
            breaker = deployment_configuration(service)["deploymentCircuitBreaker"]
            for entry in service.detail["deployments"]:
                if entry["revision"] == task.detail["revision"]:
                    entry["failures_in_row"] = 0
                    if breaker.get("resetOnHealthyTask", True):
                        entry["failedTasks"] = 0

    def _count_failure(self, name: str, task: Resource) -> None:
        if task.detail.get("counted"):
            return
        with self._table.editing(TASK, task.name) as row:
            row.detail["counted"] = True
        with self._table.editing(SERVICE, name) as service:
            for entry in service.detail["deployments"]:
                if entry["revision"] != task.detail["revision"]:
                    continue
                entry["failures_in_row"] = entry.get("failures_in_row", 0) + 1
                wait = min(_MAX_BACKOFF_SECONDS, _BACKOFF_SECONDS * entry["failures_in_row"])
                entry["next_start"] = time.time() + wait
                if entry["rolloutState"] == "IN_PROGRESS" and not entry["completed"]:
                    entry["failedTasks"] += 1
                    with self._table.editing(DEPLOYMENT, entry["history"]) as history:
                        history.detail["failures"] = entry["failedTasks"]

    def _reconcile(self, name: str) -> None:
        with self._table.editing(SERVICE, name) as service:
            self._trip_breaker(service, service.detail["deployments"][0])
            primary, *older = service.detail["deployments"]
            if primary["rolloutState"] == "FAILED":
                return
            live = [t for t in self._table.list(TASK, name) if t.state in LIVE_TASK]
            mine = [t for t in live if t.detail["revision"] == primary["revision"]]
            rest = [t for t in live if t.detail["revision"] != primary["revision"]]
            desired = service.request["desiredCount"]
            self._scale_in(mine, desired)
            self._shrink(service, mine, rest, desired)
            self._grow(service, primary, desired - len(mine), live)
            for entry in older:
                kept = sum(t.detail["revision"] == entry["revision"] for t in rest)
                self._grow(service, entry, min(entry.get("wanted", 0), desired) - kept, live)
            healthy = sum(bool(t.detail.get("healthy")) for t in mine)
            if primary["rolloutState"] == "IN_PROGRESS" and healthy == len(mine) == desired and not rest:
                ending = [t for t in self._table.list(TASK, name) if t.state in ("DEACTIVATING", "STOPPING")]
                if not ending:
                    self._complete(service, primary)

    def _trip_breaker(self, service: Resource, primary: dict[str, Any]) -> None:
        history = self._table.get(DEPLOYMENT, primary["history"])
        if primary["completed"] or history is None or history.state != "IN_PROGRESS":
            return
        breaker = deployment_configuration(service)["deploymentCircuitBreaker"]
        if not breaker.get("enable") or primary["failedTasks"] < history.detail["threshold"]:
            return
        reason = "ECS deployment circuit breaker: tasks failed to start."
        with self._table.editing(DEPLOYMENT, history.name) as row:
            row.detail["breaker"] = "TRIGGERED"
        self._event(service, f"(deployment {primary['id']}) deployment failed: tasks failed to start.")
        if not breaker.get("rollback"):
            stall(self._table, service, "STOPPED", reason)
        elif not begin_rollback(self._table, service, reason):
            stall(self._table, service, "ROLLBACK_FAILED", f"{reason} No rollback candidate was found.")

    def _scale_in(self, mine: list[Resource], desired: int) -> None:
        for task in mine[desired:]:
            self._tasks.request_stop(
                task.name, "ServiceSchedulerInitiated", "Scaling activity initiated by service"
            )
        del mine[desired:]

    def _shrink(self, service: Resource, mine: list[Resource], rest: list[Resource], desired: int) -> None:
        """Stop old tasks, unhealthy ones first, as long as enough healthy ones remain.

        If ``maximumPercent`` allows one more task, the number of healthy tasks stays at the desired count.
        """
        low, high = _bounds(service, desired)
        low = desired if high > desired else low
        entries = {entry["revision"]: entry for entry in service.detail["deployments"]}
        healthy = sum(bool(t.detail.get("healthy")) for t in [*mine, *rest])
        for task in sorted(rest, key=lambda t: bool(t.detail.get("healthy"))):
            is_healthy = bool(task.detail.get("healthy"))
            # a task that is not healthy yet may become healthy, so it stays until enough others are
            if (is_healthy and healthy - 1 < low) or (not is_healthy and healthy < low):
                return
            reason = "Scaling activity initiated by deployment"
            self._tasks.request_stop(task.name, "ServiceSchedulerInitiated", reason)
            healthy -= is_healthy
            rest.remove(task)
            if entry := entries.get(task.detail["revision"]):
                entry["wanted"] = max(0, entry.get("wanted", 0) - 1)

    def _grow(self, service: Resource, entry: dict[str, Any], missing: int, live: list[Resource]) -> None:
        """Start the missing tasks of a deployment within maximumPercent, and add them to ``live``."""
        if time.time() < entry["next_start"]:
            return
        _, high = _bounds(service, service.request["desiredCount"])
        for _ in range(max(0, min(missing, high - len(live)))):
            task = self._tasks.create(
                service.detail["cluster"],
                entry["taskDefinition"],
                service=service.name,
                revision=entry["revision"],
                balancers=service.request.get("loadBalancers", []),
                group=f"service:{service.request['serviceName']}",
                started_by=entry["id"],
            )
            live.append(task)

    def _complete(self, service: Resource, primary: dict[str, Any]) -> None:
        """Complete the deployment, and remove the older ones in the same write."""
        now = time.time()
        rolled_back = primary.pop("rollback_of", None)
        primary |= {
            "rolloutState": "COMPLETED",
            "rolloutStateReason": completed_reason(primary),
            "completed": True,
            "updatedAt": now,
        }
        primary["failures_in_row"] = 0
        primary.pop("wanted", None)
        service.detail["deployments"] = [primary]
        self._event(service, f"(service {service.request['serviceName']}) has reached a steady state.")
        if rolled_back:
            close(self._table, rolled_back, "ROLLBACK_SUCCESSFUL", "Service deployment rolled back.")
            return
        close(self._table, primary["history"], "SUCCESSFUL", "")

    def _drain(self, service: Resource) -> None:
        tasks = self._table.list(TASK, service.name)
        for task in tasks:
            if task.state in LIVE_TASK:
                self._tasks.request_stop(task.name, "ServiceSchedulerInitiated", "Service was deleted")
        if all(task.state == "STOPPED" for task in tasks):
            with self._table.editing(SERVICE, service.name) as row:
                row.state = "INACTIVE"
                row.detail["deployments"] = []
            forget(self._table, service)

    @staticmethod
    def _event(service: Resource, message: str) -> None:
        event = {"id": new_id(), "createdAt": time.time(), "message": message}
        service.detail["events"] = [*service.detail["events"][-99:], event]


def _bounds(service: Resource, desired: int) -> tuple[int, int]:
    """Return how many tasks must be healthy, and how many may run, during a deployment."""
    configuration = deployment_configuration(service)
    low = math.ceil(desired * configuration["minimumHealthyPercent"] / 100)
    high = math.floor(desired * configuration["maximumPercent"] / 100)
    return low, max(1, high)
