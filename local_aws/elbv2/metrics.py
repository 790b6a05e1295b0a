"""Counters of the load balancers, sent to CloudWatch periodically in the namespace AWS/ApplicationELB."""

from __future__ import annotations

import threading
from collections import defaultdict

from local_aws.elbv2.names import dimension
from local_aws.elbv2.targets import Group, Targets
from local_aws.logs_metrics.telemetry import Telemetry

NAMESPACE = "AWS/ApplicationELB"
#: ARNs of a balancer and a target group; either may be empty.
MetricSubject = tuple[str, str]


class Counters:
    """The sums since the last ``flush``."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._lock = threading.Lock()
        self._sums: dict[tuple[MetricSubject, str], float] = defaultdict(float)

    def answered(self, balancer: str, group: str, status: int, seconds: float) -> None:
        """Count an answer of a target. ``seconds`` is the time until its headers arrived."""
        self._add((balancer, group), RequestCount=1, TargetResponseTime=seconds, answered=1)
        self._add((balancer, group), **{f"HTTPCode_Target_{status // 100}XX_Count": 1})
        self._add((balancer, ""), RequestCount=1)

    def refused(self, balancer: str, group: str | None, status: int) -> None:
        """Count an answer 502, 503 or 504 of the balancer itself."""
        self._add((balancer, ""), RequestCount=1, HTTPCode_ELB_5XX_Count=1)
        self._add((balancer, ""), **{f"HTTPCode_ELB_{status}_Count": 1})
        if group and status != 503:
            self._add((balancer, group), TargetConnectionErrorCount=1)

    def flush(self, targets: Targets) -> None:
        """Send the sums, the mean response time and the numbers of healthy and unhealthy targets."""
        with self._lock:
            sums, self._sums = self._sums, defaultdict(float)
        for (subject, name), value in sums.items():
            if name == "answered":
                continue
            mean = value / sums[subject, "answered"] if name == "TargetResponseTime" else value
            self._telemetry.put_metric(NAMESPACE, name, mean, _dimensions(subject))
        counted: list[tuple[str, int, int]] = []
        targets.on_each(lambda group: counted.append(_hosts(group)))
        busy = {group: balancer for (balancer, group), _ in sums if group}
        for arn, healthy, unhealthy in counted:
            if arn in busy:
                subject = (busy[arn], arn)
                self._telemetry.put_metric(NAMESPACE, "HealthyHostCount", healthy, _dimensions(subject))
                self._telemetry.put_metric(NAMESPACE, "UnHealthyHostCount", unhealthy, _dimensions(subject))

    def _add(self, subject: MetricSubject, **values: float) -> None:
        with self._lock:
            for name, value in values.items():
                self._sums[subject, name] += value


def _dimensions(subject: MetricSubject) -> dict[str, str]:
    named = {"LoadBalancer": subject[0], "TargetGroup": subject[1]}
    return {name: dimension(arn) for name, arn in named.items() if arn}


def _hosts(group: Group) -> tuple[str, int, int]:
    states = [target.state for target in group.targets.values()]
    return group.arn, states.count("healthy"), states.count("unhealthy")
