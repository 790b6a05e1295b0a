"""Evaluates CloudWatch metric alarms once a second. moto stores the alarms and their state."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from local_aws.moto_services.handler import MotoHandler, moto_backend

_EVERY_SECONDS = 1.0
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": lambda value, limit: value > limit,
    "GreaterThanOrEqualToThreshold": lambda value, limit: value >= limit,
    "LessThanThreshold": lambda value, limit: value < limit,
    "LessThanOrEqualToThreshold": lambda value, limit: value <= limit,
}


@dataclass(frozen=True)
class Rule:
    """The condition of an alarm: at least ``needed`` of ``periods`` data points are beyond ``threshold``.

    ``missing`` is CloudWatch's TreatMissingData.
    """

    comparison: str
    threshold: float
    periods: int
    needed: int
    missing: str


def judge(rule: Rule, points: Sequence[float | None], before: str) -> str:
    """Return OK, ALARM or INSUFFICIENT_DATA for data points, newest first; None is a period without data.

    ``before`` is the current state, which "ignore" keeps if all data are missing.
    """
    known = [point for point in points if point is not None]
    absent = len(points) - len(known)
    breaching = sum(_COMPARE[rule.comparison](point, rule.threshold) for point in known)
    if rule.missing == "breaching":
        breaching += absent
    elif not known and rule.missing == "ignore":
        return before
    elif not known and rule.missing != "notBreaching":
        return "INSUFFICIENT_DATA"
    return "ALARM" if breaching >= rule.needed else "OK"


def statistic(name: str, values: Sequence[float]) -> float:
    """Compute Sum, Average, Minimum, Maximum, SampleCount or a percentile (pNN) of a period's values."""
    if name.startswith("p"):
        ordered = sorted(values)
        return ordered[min(len(ordered) - 1, int(float(name[1:]) / 100 * len(ordered)))]
    functions: dict[str, Callable[[Sequence[float]], float]] = {
        "Sum": sum,
        "Average": lambda v: sum(v) / len(v),
        "Minimum": min,
        "Maximum": max,
        "SampleCount": len,
    }
    return functions[name](values)


class Alarms:
    """Evaluates the metric alarms. ``now`` returns the time of the test clock in seconds since 1970."""

    def __init__(self, moto: MotoHandler, now: Callable[[], float]) -> None:
        self._moto = moto
        self._now = now
        self._next = 0.0

    def adopt(self) -> None:
        """Do nothing: alarms are evaluated from stored data only."""

    def stop(self) -> None:
        """Do nothing: no thread or process is running."""

    def tick(self) -> None:
        """Evaluate all metric alarms once a second."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _EVERY_SECONDS
        with self._moto.lock:
            backend = moto_backend("cloudwatch")
            for alarm in list(backend.alarms.values()):
                if alarm.rule is None:
                    self._evaluate(backend, alarm)

    def _evaluate(self, backend: Any, alarm: Any) -> None:
        if alarm.state_reason.startswith("Unchecked"):
            alarm.state_value = "INSUFFICIENT_DATA"  # moto begins with OK
        if alarm.metric_data_queries or alarm.comparison_operator not in _COMPARE:
            self._change(alarm, "INSUFFICIENT_DATA", "local_aws evaluates alarms on one metric only", [])
            return
        periods = int(alarm.evaluation_periods)
        rule = Rule(
            alarm.comparison_operator,
            float(alarm.threshold),
            periods,
            int(alarm.datapoints_to_alarm or periods),
            alarm.treat_missing_data or "missing",
        )
        points = self._points(backend, alarm, periods)
        state = judge(rule, points, alarm.state_value)
        shown = ", ".join("missing" if p is None else f"{p:g}" for p in points)
        reason = (
            f"Threshold Crossed: {rule.needed} out of {periods} datapoints [{shown}] against"
            f" {alarm.comparison_operator} {rule.threshold:g}"
        )
        self._change(alarm, state, reason, points)

    def _points(self, backend: Any, alarm: Any, periods: int) -> list[float | None]:
        """Compute the data points of the last periods, newest first."""
        now, length = self._now(), float(alarm.period)
        wanted = sorted((d.name, d.value) for d in alarm.dimensions)
        values: list[list[float]] = [[] for _ in range(periods)]
        for datum in backend.metric_data:
            if datum.namespace != alarm.namespace or datum.name != alarm.metric_name:
                continue
            if sorted((d.name, d.value) for d in datum.dimensions) != wanted:
                continue
            stamp = datum.timestamp if datum.timestamp.tzinfo else datum.timestamp.replace(tzinfo=UTC)
            age = max(0.0, now - stamp.timestamp())
            if age < periods * length and hasattr(datum, "value"):
                values[int(age // length)].append(datum.value)
        name = alarm.extended_statistic or alarm.statistic
        return [statistic(name, group) if group else None for group in values]

    def _change(self, alarm: Any, state: str, reason: str, points: Sequence[float | None]) -> None:
        if state == alarm.state_value and not alarm.state_reason.startswith("Unchecked"):
            return
        before = alarm.state_value
        alarm.update_state(
            reason, json.dumps({"recentDatapoints": [p for p in points if p is not None]}), state
        )
        self._moto.changed("cloudwatch")
        if before != state and alarm.actions_enabled:
            self._notify(alarm, before, reason)

    @staticmethod
    def _notify(alarm: Any, before: str, reason: str) -> None:
        actions = {"ALARM": alarm.alarm_actions, "OK": alarm.ok_actions}
        message = {
            "AlarmName": alarm.name,
            "NewStateValue": alarm.state_value,
            "OldStateValue": before,
            "NewStateReason": reason,
            "StateChangeTime": datetime.now(UTC).isoformat(),
        }
        for arn in actions.get(alarm.state_value, alarm.insufficient_data_actions) or []:
            if ":sns:" in arn and arn in moto_backend("sns").topics:
                moto_backend("sns").publish(
                    message=json.dumps(message), arn=arn, subject=f"{alarm.state_value}: {alarm.name}"
                )
