"""Draws the metrics of a training job as curves, as the SageMaker console does.

The resource table holds only the last value of a metric. So the values are read from the log by the
``MetricDefinitions`` of the request.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from local_aws.ui.html import Html, element

_WIDTH, _HEIGHT, _MARGIN = 300, 80, 4
_MAX_POINTS = 400


def metric_values(request: Mapping[str, Any], log: str) -> dict[str, list[float]]:
    """Return the finite values of each metric in the order of the log, without metrics that have none."""
    definitions = request.get("AlgorithmSpecification", {}).get("MetricDefinitions", [])
    found = {each["Name"]: _numbers(re.compile(each["Regex"]), log) for each in definitions}
    return {name: values for name, values in found.items() if values}


def curves(values: Mapping[str, Sequence[float]]) -> Html:
    """Draw one chart for each metric that has two values or more; '' if there is none."""
    drawn = [_curve(name, of) for name, of in values.items() if len(of) > 1]
    return element("div", drawn, class_="charts") if drawn else Html("")


def _numbers(pattern: re.Pattern[str], log: str) -> list[float]:
    if not pattern.groups:
        return []
    numbers = []
    for line in log.splitlines():
        if found := pattern.search(line):
            try:
                number = float(found[1])
            except (TypeError, ValueError):
                continue
            if math.isfinite(number):
                numbers.append(number)
    return numbers


def _curve(name: str, values: Sequence[float]) -> Html:
    low, high = min(values), max(values)
    words = f"first {values[0]:.5g} · lowest {low:.5g} · highest {high:.5g} · last {values[-1]:.5g}"
    line = element("polyline", points=_points(values, low, high), vector_effect="non-scaling-stroke")
    size = {"viewBox": f"0 0 {_WIDTH} {_HEIGHT}", "preserveAspectRatio": "none"}
    picture = element("svg", line, role="img", aria_label=f"{name}: {words}", **size)
    return element("figure", element("figcaption", name), picture, element("p", words, class_="faint"))


def _points(values: Sequence[float], low: float, high: float) -> str:
    """Scale the values to the picture: from left to right in the order of the log, the highest at the top."""
    last = len(values) - 1
    shown = [*range(0, last, -(-last // _MAX_POINTS)), last]
    across = _WIDTH / last
    up = (_HEIGHT - 2 * _MARGIN) / (high - low) if high > low else 0.0
    places = ((number * across, _HEIGHT - _MARGIN - (values[number] - low) * up) for number in shown)
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
