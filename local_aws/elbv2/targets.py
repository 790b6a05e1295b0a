"""The targets behind the load balancers: who is healthy, who drains, who gets the next request.

One object that the API, the health checks, the proxy and ECS share. Registrations are written through to
the job table; health is found out anew after a restart.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from local_aws.elbv2.names import GROUP, missing
from local_aws.jobs.table import Job, JobTable

_STARTING_PROBE_SECONDS = 0.25
Key = tuple[str, int]


@dataclass
class Target:
    """One registered address. ``in_flight`` counts requests that the proxy has given it."""

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
    """A target group: its description, its attributes and who is in it."""

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

    Who holds ``lock`` never waits for the job table, so that the table's lock may be held outside of it.
    """

    def __init__(self, table: JobTable) -> None:
        self._table = table
        self._groups: dict[str, Group] = {}
        self._credit: dict[str, dict[str, float]] = {}
        self.lock = threading.RLock()

    def load(self) -> None:
        """Take over what an earlier process registered; a target that drained then is let go."""
        for row in self._table.list(GROUP):
            self.put(row)
            for host, port in row.detail["targets"]:
                self.register(row.name, host, int(port))

    def put(self, row: Job) -> None:
        """A group was made or changed."""
        with self.lock:
            group = self._groups.setdefault(row.name, Group(row.name, {}, {}))
            group.settings, group.attributes = row.detail["view"], row.detail["attributes"]

    def remove(self, arn: str) -> None:
        """A group was deleted."""
        with self.lock:
            self._groups.pop(arn, None)

    def group(self, arn: str) -> Group:
        """The group; TargetGroupNotFound when there is none."""
        try:
            return self._groups[arn]
        except KeyError:
            raise missing(GROUP, arn) from None

    def register(self, arn: str, host: str, port: int) -> None:
        """Add a target; one that drains comes back and has to prove its health again."""
        with self.lock:
            group = self.group(arn)
            known = group.targets.get((host, port))
            if known is None or known.state == "draining":
                target = Target(arn, host, port, in_flight=known.in_flight if known else 0)
                target.next_count = time.monotonic() + float(group.settings["HealthCheckIntervalSeconds"])
                group.targets[host, port] = target
        self._save(arn)

    def deregister(self, arn: str, host: str, port: int) -> None:
        """From here on the target gets no new request; it goes when its last one has ended."""
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
        """Whether a deregistered target has ended its last request, or had its time for that."""
        with self.lock:
            self.sweep()
            group = self._groups.get(arn)
            return group is None or (host, port) not in group.targets

    def state(self, arn: str, host: str, port: int) -> tuple[str, str]:
        """State and description of a target; ``unused`` when it is not registered."""
        with self.lock:
            group = self._groups.get(arn)
            target = group.targets.get((host, port)) if group else None
            return (target.state, target.description) if target else ("unused", "Target is not registered")

    def sweep(self) -> None:
        """Let go of targets that have drained."""
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
        """The next group by weight, spread evenly: at 90:10 every tenth request goes to the second."""
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
        """The healthy target whose turn it is, counted as busy at once, so that draining waits for it."""
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
        """The request that ``take`` counted has ended."""
        with self.lock:
            group = self._groups.get(target.group)
            # a target that was registered again meanwhile has taken the count over
            current = group.targets.get(target.key, target) if group else target
            current.in_flight = max(0, current.in_flight - 1)

    # ---- health checks ------------------------------------------------------
    def due(self) -> list[tuple[Group, Target]]:
        """Targets to probe now; each is marked as being probed."""
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
        """The outcome of one probe; ``reason`` is empty when it passed.

        A new target is healthy with its first success. Until then it is looked at often, so that a
        rollout does not wait for the interval, but failures count once an interval only.
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
        """Visit every group under the lock."""
        with self.lock:
            for group in self._groups.values():
                visit(group)

    def _save(self, arn: str) -> None:
        with self._table.editing(GROUP, arn) as row, self.lock:
            targets = self._groups[arn].targets.values()
            row.detail["targets"] = [list(t.key) for t in targets if t.state != "draining"]
