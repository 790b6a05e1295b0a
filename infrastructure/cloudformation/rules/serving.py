"""Rules about serving: load balancer, listeners and target groups."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from infrastructure.cloudformation.environments import EvaluatedEnvironment, EvaluatedStack
from infrastructure.cloudformation.findings import Finding, finding

#: AWS's predefined policies that speak no TLS before 1.2. CloudFormation's default is the one of 2016.
TLS_POLICIES = frozenset(
    {
        "ELBSecurityPolicy-TLS13-1-2-2021-06",
        "ELBSecurityPolicy-TLS13-1-2-Res-2021-06",
        "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09",
        "ELBSecurityPolicy-TLS13-1-3-2021-06",
        "ELBSecurityPolicy-TLS13-1-3-PQ-2025-09",
    }
)
#: Contract of the server: its port and the path that says whether it is ready (`serving/`).
PORT = 8080
HEALTH_PATH = "/readyz"
#: What ECS needs of the two groups between which it shifts the traffic: they differ by name alone.
_MAY_DIFFER = {"Name", "Tags"}


def listeners_speak_tls(environment: EvaluatedEnvironment) -> Iterator[Finding]:
    """Find listeners that forward plain HTTP, or whose TLS policy is missing, old or misspelt."""
    for stack, listener in environment.of_type("AWS::ElasticLoadBalancingV2::Listener"):
        properties = listener.properties
        position = ("Resources", listener.logical_id)
        redirects = all(action.get("Type") == "redirect" for action in properties.get("DefaultActions", []))
        if properties.get("Protocol") != "HTTPS":
            if not redirects:
                yield finding(stack.template, "plain-http-listener", "forwards plain HTTP", position)
        elif (policy := properties.get("SslPolicy")) not in TLS_POLICIES:
            message = f"SslPolicy is {policy}, expected one of {', '.join(sorted(TLS_POLICIES))}"
            yield finding(stack.template, "tls-policy", message, position)


def target_groups_fit_the_server(environment: EvaluatedEnvironment) -> Iterator[Finding]:
    """Find target groups to which a task on Fargate cannot be registered or in which it is never healthy."""
    expected: dict[str, Any] = {"TargetType": "ip", "Port": PORT, "HealthCheckPath": HEALTH_PATH}
    for stack, group in environment.of_type("AWS::ElasticLoadBalancingV2::TargetGroup"):
        for name, value in expected.items():
            if str(group.properties.get(name)) != str(value):
                message = f"{name} is {group.properties.get(name)}, expected {value}"
                position = ("Resources", group.logical_id, "Properties", name)
                yield finding(stack.template, "target-group", message, position)


def two_target_groups_are_alike(environment: EvaluatedEnvironment) -> Iterator[Finding]:
    """Find groups between which traffic is shifted although they differ, and rules that name one only."""
    for stack in environment.stacks:
        groups = stack.of_type("AWS::ElasticLoadBalancingV2::TargetGroup")
        for group in groups[1:]:
            for name in sorted({*groups[0].properties, *group.properties} - _MAY_DIFFER):
                if group.properties.get(name) != groups[0].properties.get(name):
                    message = f"{name} differs from {groups[0].logical_id}"
                    position = ("Resources", group.logical_id, "Properties", name)
                    yield finding(stack.template, "target-groups-differ", message, position)
        yield from _rules_without_alternate(stack)


def _rules_without_alternate(stack: EvaluatedStack) -> Iterator[Finding]:
    for rule in stack.of_type("AWS::ElasticLoadBalancingV2::ListenerRule"):
        for action in rule.properties.get("Actions", []):
            targets = action.get("ForwardConfig", {}).get("TargetGroups", [])
            distinct = {str(target.get("TargetGroupArn")) for target in targets}
            if action.get("Type") == "forward" and len(distinct) != 2:
                message = f"forwards to {len(distinct)} target groups, and a canary needs 2"
                position = ("Resources", rule.logical_id)
                yield finding(stack.template, "no-alternate-target-group", message, position)


RULES = (listeners_speak_tls, target_groups_fit_the_server, two_target_groups_are_alike)
