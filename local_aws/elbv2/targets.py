"""The targets of the load balancers: their health, their draining, and the choice of the next target.

The API, the health checks, the proxy and ECS share one object. Registrations are kept in the resource table;
health is checked again after a restart.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from local_aws.elbv2.names import GROUP, missing
from local_aws.resources import Resource, ResourceTable

_STARTING_PROBE_SECONDS = 0.25
Key = tuple[str, int]


@dataclass
class Target:
    """One registered address. ``in_flight`` counts its requests in progress."""

    group: str
    host: str
    port: int
    state: str = "initial"
    reason: str = "Elb.RegistrationInProgress"
    description: str = "Target registration is in progress"
    in_flight: int = 0
    passed: int = 0
    failed: int = 0
    drain_until: float = 0.0
    next_probe: float = 0.0
    next_count: float = 0.0
    probing: bool = False

    @property
    def key(self) -> Key:
        return self.host, self.port

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass
class Group:
    """A target group: its description, its attributes and its targets."""

    arn: str
    settings: dict[str, Any]
    attributes: dict[str, str]
    targets: dict[Key, Target] = field(default_factory=dict)
    turn: int = 0

    @property
    def drain_seconds(self) -> float:
        return float(self.attributes["deregistration_delay.timeout_seconds"])

    def healthy(self) -> list[Target]:
        return [target for target in self.targets.values() if target.state == "healthy"]


class Targets:
    """All target groups of this process. Every method is safe in any thread.

    A thread that holds ``lock`` never waits for the lock of the resource table. A thread may therefore hold
    the lock of the table while it waits for this one.
    """

    def __init__(self, table: ResourceTable) -> None:
        self._table = table
        self._groups: dict[str, Group] = {}
        self._credit: dict[str, dict[str, float]] = {}
        self.lock = threading.RLock()

    def load(self) -> None:
        """Load the registrations of an earlier process, without targets that were draining."""
        for row in self._table.list(GROUP):
            self.put(row)
            for host, port in row.detail["targets"]:
                self.register(row.name, host, int(port))

    def put(self, row: Resource) -> None:
        """Add a group, or update its settings and attributes."""
        with self.lock:
            group = self._groups.setdefault(row.name, Group(row.name, {}, {}))
            group.settings, group.attributes = row.detail["view"], row.detail["attributes"]

    def remove(self, arn: str) -> None:
        """Remove a group."""
        with self.lock:
            self._groups.pop(arn, None)

    def group(self, arn: str) -> Group:
        """Return a group. Raises TargetGroupNotFound if it does not exist."""
        try:
            return self._groups[arn]
        except KeyError:
            raise missing(GROUP, arn) from None

    def register(self, arn: str, host: str, port: int) -> None:
        """Add a target. A target that is draining is registered again, and its health is unknown again."""
        with self.lock:
            group = self.group(arn)
            known = group.targets.get((host, port))
            if known is None or known.state == "draining":
                target = Target(arn, host, port, in_flight=known.in_flight if known else 0)
                target.next_count = time.monotonic() + float(group.settings["HealthCheckIntervalSeconds"])
                group.targets[host, port] = target
        self._save(arn)

    def deregister(self, arn: str, host: str, port: int) -> None:
        """Send no more requests to a target, and remove it when its last request has ended."""
        with self.lock:
            group = self._groups.get(arn)
            target = group.targets.get((host, port)) if group else None
            if group is None or target is None or target.state == "draining":
                return
            target.state, target.reason = "draining", "Target.DeregistrationInProgress"
            target.description = "Target deregistration is in progress"
            target.drain_until = time.monotonic() + group.drain_seconds
        self._save(arn)
        self.sweep()

    def drained(self, arn: str, host: str, port: int) -> bool:
        """Return True if a deregistered target has no requests left or its drain time is over."""
        with self.lock:
            self.sweep()
            group = self._groups.get(arn)
            return group is None or (host, port) not in group.targets

    def state(self, arn: str, host: str, port: int) -> tuple[str, str]:
        """Return the state and description of a target; the state is ``unused`` if it is not registered."""
        with self.lock:
            group = self._groups.get(arn)
            target = group.targets.get((host, port)) if group else None
            return (target.state, target.description) if target else ("unused", "Target is not registered")

    def sweep(self) -> None:
        """Remove the targets that have drained."""
        now = time.monotonic()
        with self.lock:
            for group in self._groups.values():
                done = [
                    target.key
                    for target in group.targets.values()
                    if target.state == "draining" and (not target.in_flight or now >= target.drain_until)
                ]
                for key in done:
                    del group.targets[key]

    # ---- the proxy ----------------------------------------------------------
    def choose_group(self, listener: str, weights: Iterable[tuple[str, int]]) -> str | None:
        """Choose the next group by weight, evenly spread: at 90:10 every tenth request goes to the second."""
        with self.lock:
            weighted = {arn: weight for arn, weight in weights if weight > 0}
            if not weighted:
                return None
            credit = self._credit.setdefault(listener, {})
            for arn in set(credit) - set(weighted):
                del credit[arn]
            for arn, weight in weighted.items():
                credit[arn] = credit.get(arn, 0.0) + weight
            chosen = max(weighted, key=lambda arn: credit[arn])
            credit[chosen] -= sum(weighted.values())
            return chosen

    def take(self, arn: str, tried: set[Key]) -> Target | None:
        """Choose a healthy target and count the request, so that draining waits for its end."""
        with self.lock:
            group = self._groups.get(arn)
            candidates = [t for t in group.healthy() if t.key not in tried] if group else []
            if group is None or not candidates:
                return None
            group.turn += 1
            if group.attributes["load_balancing.algorithm.type"] == "least_outstanding_requests":
                chosen = min(candidates, key=lambda target: target.in_flight)
            else:
                chosen = candidates[group.turn % len(candidates)]
            chosen.in_flight += 1
            return chosen

    def give_back(self, target: Target) -> None:
        """Count the end of a request that ``take`` counted."""
        with self.lock:
            group = self._groups.get(target.group)
            # a target that was registered again in the meantime has the count of the earlier one
            current = group.targets.get(target.key, target) if group else target
            current.in_flight = max(0, current.in_flight - 1)

    # ---- health checks ------------------------------------------------------
    def due(self) -> list[tuple[Group, Target]]:
        """Return the targets that are due for a probe, and mark them as being probed."""
        now = time.monotonic()
        found = []
        with self.lock:
            for group in self._groups.values():
                for target in group.targets.values():
                    if target.state != "draining" and not target.probing and now >= target.next_probe:
                        target.probing = True
                        found.append((group, target))
        return found

    def report(self, target: Target, reason: str, description: str) -> None:
        """Record the outcome of one probe; ``reason`` is empty if it passed.

        A new target is healthy after its first success. Until then it is probed more often than once per
        interval, so that a rollout need not wait, but at most one failure per interval counts.
        """
        now = time.monotonic()
        with self.lock:
            settings = self.group(target.group).settings
            interval = float(settings["HealthCheckIntervalSeconds"])
            starting = target.state == "initial"
            target.probing = False
            target.next_probe = now + (min(interval, _STARTING_PROBE_SECONDS) if starting else interval)
            if target.state == "draining":
                return
            if not reason:
                target.passed, target.failed = target.passed + 1, 0
                if starting or target.passed >= int(settings["HealthyThresholdCount"]):
                    target.state, target.reason, target.description = "healthy", "", ""
                    target.next_probe = now + interval
                return
            if starting:
                target.reason = "Elb.InitialHealthChecking"
                target.description = "Initial health checks in progress"
                if now < target.next_count:
                    return
                target.next_count = now + interval
            target.failed, target.passed = target.failed + 1, 0
            if target.failed >= int(settings["UnhealthyThresholdCount"]):
                target.state, target.reason, target.description = "unhealthy", reason, description

    def on_each(self, visit: Callable[[Group], None]) -> None:
        """Call ``visit`` for every group while holding the lock."""
        with self.lock:
            for group in self._groups.values():
                visit(group)

    def _save(self, arn: str) -> None:
        with self._table.editing(GROUP, arn) as row, self.lock:
            targets = self._groups[arn].targets.values()
            row.detail["targets"] = [list(t.key) for t in targets if t.state != "draining"]
