"""The counters of a balancer: sums since the last flush, a mean of times, and the hosts of busy groups."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from local_aws.elbv2.metrics import NAMESPACE, Counters

BALANCER, GROUP, IDLE = (
    f"arn:aws:elasticloadbalancing:us-east-1:123456789012:{name}"
    for name in ("loadbalancer/app/web/1", "targetgroup/busy/2", "targetgroup/idle/3")
)
HERE, THERE = ("app/web/1", ""), ("app/web/1", "targetgroup/busy/2")


class Sent:
    """The metrics of a flush: values by the balancer, the group and the name of the metric."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str, str], float] = {}

    def put_metric(self, namespace: str, name: str, value: float, dimensions: dict[str, str]) -> None:
        assert namespace == NAMESPACE
        place = dimensions["LoadBalancer"], dimensions.get("TargetGroup", "")
        assert (*place, name) not in self.values
        self.values[*place, name] = value

    def on_each(self, visit: Any) -> None:
        for arn, states in ((GROUP, ["healthy", "healthy", "unhealthy", "draining"]), (IDLE, ["healthy"])):
            visit(SimpleNamespace(arn=arn, targets=dict(enumerate(SimpleNamespace(state=s) for s in states))))


def test_answers_are_counted_by_hundreds_with_their_mean_time() -> None:
    sent: Any = Sent()
    counters = Counters(sent)
    for status, seconds in ((200, 1.0), (299, 2.0), (404, 6.0)):
        counters.answered(BALANCER, GROUP, status, seconds)
    counters.flush(sent)
    assert sent.values == {
        (*HERE, "RequestCount"): 3,
        (*THERE, "RequestCount"): 3,
        (*THERE, "TargetResponseTime"): 3.0,
        (*THERE, "HTTPCode_Target_2XX_Count"): 2,
        (*THERE, "HTTPCode_Target_4XX_Count"): 1,
        (*THERE, "HealthyHostCount"): 2,
        (*THERE, "UnHealthyHostCount"): 1,
    }


def test_refusals_are_counted_by_status_and_a_broken_connection_also_for_its_group() -> None:
    sent: Any = Sent()
    counters = Counters(sent)
    for group, status in ((None, 503), (GROUP, 503), (GROUP, 502)):
        counters.refused(BALANCER, group, status)
    counters.flush(sent)
    assert sent.values == {
        (*HERE, "RequestCount"): 3,
        (*HERE, "HTTPCode_ELB_5XX_Count"): 3,
        (*HERE, "HTTPCode_ELB_503_Count"): 2,
        (*HERE, "HTTPCode_ELB_502_Count"): 1,
        (*THERE, "TargetConnectionErrorCount"): 1,
        (*THERE, "HealthyHostCount"): 2,
        (*THERE, "UnHealthyHostCount"): 1,
    }


def test_what_was_sent_is_not_sent_again() -> None:
    sent: Any = Sent()
    counters = Counters(sent)
    counters.answered(BALANCER, GROUP, 200, 1.0)
    counters.flush(sent)
    sent.values.clear()
    counters.flush(sent)
    assert sent.values == {}
