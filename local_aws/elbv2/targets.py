"""Target groups in memory: who is registered, who is healthy, who still has requests in flight."""

from __future__ import annotations

import http.client
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from local_aws.jobs.table import Job, JobTable

GROUP = "elbv2-target-group"
_FIRST_PROBE_SECONDS = 0.3
_PROBERS = 4
Address = tuple[str, int]


@dataclass
class Target:
    """One address. ``state`` is initial, healthy, unhealthy, draining or unused, as on AWS."""

    address: Address
    state: str = "initial"
    reason: str = "Elb.RegistrationInProgress"
    description: str = "Target registration is in progress"
    in_flight: int = 0
    passed: int = 0
    failed: int = 0
    next_probe: float = 0.0
    counted_until: float = 0.0
    drains_until: float = 0.0
    probing: bool = False


@dataclass
class _Group:
    arn: str
    targets: dict[Address, Target] = field(default_factory=dict)
    turn: int = 0


class TargetGroups:
    """All groups; the proxies pick from them, ECS registers with them, ``tick`` probes them."""

    def __init__(self, table: JobTable) -> None:
        self._table = table
        self._lock = threading.RLock()
        self._groups: dict[str, _Group] = {}
        self._probers = ThreadPoolExecutor(_PROBERS, thread_name_prefix="health")

    def adopt(self) -> None:
        """Read registrations back; states are as last seen until the next probe."""
        for row in self._table.list(GROUP):
            group = self._groups.setdefault(row.name, _Group(row.name))
            for host, port, state in row.detail.get("targets", []):
                group.targets[host, port] = Target((host, port), state, "", "")

    def stop(self) -> None:
        """End the probing threads."""
        self._probers.shutdown(wait=False, cancel_futures=True)

    def row(self, arn: str) -> Job | None:
        """The group as it was created."""
        return self._table.get(GROUP, arn)

    def register(self, arn: str, address: Address) -> None:
        """Add a target; a draining one comes back as new."""
        with self._lock:
            group = self._groups.setdefault(arn, _Group(arn))
            known = group.targets.get(address)
            if known is None or known.state == "draining":
                group.targets[address] = Target(address)
            self._save(group)

    def deregister(self, arn: str, address: Address) -> None:
        """Send no new requests to a target; it is gone once it is drained."""
        with self._lock:
            group = self._groups.get(arn)
            target = group.targets.get(address) if group else None
            if group is None or target is None or target.state == "draining":
                return
            target.state, target.reason = "draining", "Target.DeregistrationInProgress"
            target.description = "Target deregistration is in progress"
            target.drains_until = time.monotonic() + self._delay(arn)
            self._drop_drained(group)
            self._save(group)

    def registered(self, arn: str, address: Address) -> bool:
        """Whether the target is still there, draining included."""
        with self._lock:
            group = self._groups.get(arn)
            return bool(group and address in group.targets)

    def health(self, arn: str) -> dict[Address, Target]:
        """A copy of the targets' states."""
        with self._lock:
            group = self._groups.get(arn)
            return {a: Target(a, t.state, t.reason, t.description) for a, t in group.targets.items()} if group else {}

    def forget(self, arn: str) -> None:
        """The group was deleted."""
        with self._lock:
            self._groups.pop(arn, None)

    def pick(self, arn: str, tried: set[Address]) -> Target | None:
        """The next target in turn, counted as in flight; give it back by ``release``.

        Healthy ones, or all that are unhealthy when there is no healthy one (a load balancer fails open).
        """
        with self._lock:
            group = self._groups.get(arn)
            if group is None:
                return None
            for wanted in ("healthy", "unhealthy"):
                usable = [t for t in group.targets.values() if t.state == wanted]
                if not usable:
                    continue
                left = [t for t in usable if t.address not in tried]
                if not left:
                    return None
                group.turn += 1
                target = left[group.turn % len(left)]
                target.in_flight += 1
                return target
        return None

    def release(self, target: Target) -> None:
        """The request is answered."""
        with self._lock:
            target.in_flight -= 1

    def tick(self) -> None:
        """Send due probes and let drained targets go."""
        now = time.monotonic()
        with self._lock:
            due = []
            for group in self._groups.values():
                if self._drop_drained(group):
                    self._save(group)
                for target in group.targets.values():
                    if target.state != "draining" and not target.probing and target.next_probe <= now:
                        target.probing = True
                        due.append((group, target))
        for group, target in due:
            row = self.row(group.arn)
            if row is not None:
                self._probers.submit(self._probe, group, target, row.request)

    def _probe(self, group: _Group, target: Target, settings: dict[str, Any]) -> None:
        problem = _ask(target.address, settings)
        interval = float(settings["HealthCheckIntervalSeconds"])
        now = time.monotonic()
        with self._lock:
            target.probing = False
            if target.state == "draining":
                return
            before = target.state
            if problem is None:
                target.passed, target.failed = target.passed + 1, 0
                # a new target is healthy with its first success, a fallen one after the threshold
                if before == "initial" or target.passed >= settings["HealthyThresholdCount"]:
                    target.state, target.reason, target.description = "healthy", "", ""
            elif now >= target.counted_until:
                target.passed, target.failed = 0, target.failed + 1
                target.counted_until = now + interval * 0.9
                if target.failed >= settings["UnhealthyThresholdCount"]:
                    target.state = "unhealthy"
                if target.state != "healthy":
                    target.reason, target.description = problem
            # a starting process is asked often, so that a roll does not wait for the interval
            target.next_probe = now + (_FIRST_PROBE_SECONDS if target.state == "initial" else interval)
            if before != target.state:
                self._save(group)

    def _drop_drained(self, group: _Group) -> bool:
        now = time.monotonic()
        gone = [
            a
            for a, t in group.targets.items()
            if t.state == "draining" and (t.in_flight == 0 or now >= t.drains_until)
        ]
        for address in gone:
            del group.targets[address]
        return bool(gone)

    def _delay(self, arn: str) -> float:
        row = self.row(arn)
        return float(row.detail["attributes"]["deregistration_delay.timeout_seconds"]) if row else 0.0

    def _save(self, group: _Group) -> None:
        if self._table.get(GROUP, group.arn) is not None:
            with self._table.editing(GROUP, group.arn) as row:
                row.detail["targets"] = [[*t.address, t.state] for t in group.targets.values() if t.state != "draining"]


def _ask(address: Address, settings: dict[str, Any]) -> tuple[str, str] | None:
    """None when the probe passed, else AWS's reason and description."""
    port = settings["HealthCheckPort"]
    connection = http.client.HTTPConnection(
        address[0],
        address[1] if port == "traffic-port" else int(port),
        timeout=float(settings["HealthCheckTimeoutSeconds"]),
    )
    try:
        connection.request("GET", settings["HealthCheckPath"], headers={"User-Agent": "ELB-HealthChecker/2.0"})
        status = connection.getresponse().status
    except TimeoutError:
        return "Target.Timeout", "Request timed out"
    except (OSError, http.client.HTTPException):
        return "Target.FailedHealthChecks", "Health checks failed"
    finally:
        connection.close()
    if _matches(status, settings["Matcher"]["HttpCode"]):
        return None
    return "Target.ResponseCodeMismatch", f"Health checks failed with these codes: [{status}]"


def _matches(status: int, codes: str) -> bool:
    for part in codes.split(","):
        low, _, high = part.partition("-")
        if int(low) <= status <= int(high or low):
            return True
    return False
