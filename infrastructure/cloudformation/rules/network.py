"""Rules about the network: zones, address blocks and security groups."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from infrastructure.cloudformation.environments import EvaluatedEnvironment, EvaluatedStack
from infrastructure.cloudformation.evaluate import EvaluatedResource
from infrastructure.cloudformation.findings import Finding, finding

#: A load balancer and MWAA need two zones; the third survives the loss of one.
ZONES = 3


def subnets_are_spread_over_the_zones(environment: EvaluatedEnvironment) -> Iterator[Finding]:
    """Find subnets that share a zone while another zone has fewer, and address blocks that overlap."""
    for stack in environment.stacks:
        subnets = stack.of_type("AWS::EC2::Subnet")
        zones = Counter(str(subnet.properties.get("AvailabilityZone")) for subnet in subnets)
        if subnets and (len(zones) < ZONES or len(set(zones.values())) > 1):
            crowded = zones.most_common(1)[0][0]
            for subnet in subnets:
                if subnet.properties.get("AvailabilityZone") == crowded:
                    message = f"{zones[crowded]} subnets are in {crowded}, and the zones have {dict(zones)}"
                    position = ("Resources", subnet.logical_id, "Properties", "AvailabilityZone")
                    yield finding(stack.template, "zones-are-not-balanced", message, position)
        blocks = [(subnet, ipaddress.ip_network(str(subnet.properties["CidrBlock"]))) for subnet in subnets]
        for index, (subnet, block) in enumerate(blocks):
            for other, earlier in blocks[:index]:
                if block.overlaps(earlier):
                    message = f"{block} overlaps {earlier} of {other.logical_id}"
                    yield finding(
                        stack.template, "address-blocks-overlap", message, ("Resources", subnet.logical_id)
                    )


def security_groups_are_narrow(environment: EvaluatedEnvironment) -> Iterator[Finding]:
    """Find rules of security groups that admit all ports of all addresses, and groups without a rule out."""
    for stack in environment.stacks:
        for group in stack.of_type("AWS::EC2::SecurityGroup"):
            for rule in group.properties.get("SecurityGroupIngress", []):
                yield from _wide(stack, group, rule)
            if "SecurityGroupEgress" not in group.properties:
                message = "has no SecurityGroupEgress, and EC2 then allows everything out"
                yield finding(
                    stack.template, "egress-is-not-stated", message, ("Resources", group.logical_id)
                )
        for rule in stack.of_type("AWS::EC2::SecurityGroupIngress"):
            yield from _wide(stack, rule, rule.properties)


def all_flows_are_logged(environment: EvaluatedEnvironment) -> Iterator[Finding]:
    """Find flow logs that leave out accepted or rejected connections."""
    for stack, log in environment.of_type("AWS::EC2::FlowLog"):
        if log.properties.get("TrafficType") != "ALL":
            message = f"TrafficType is {log.properties.get('TrafficType')}, expected ALL"
            yield finding(stack.template, "flows-left-out", message, ("Resources", log.logical_id))


def _wide(stack: EvaluatedStack, resource: EvaluatedResource, rule: Mapping[str, Any]) -> Iterator[Finding]:
    address = rule.get("CidrIp") or rule.get("CidrIpv6")
    ports = {str(rule.get("FromPort")), str(rule.get("ToPort"))}
    if address in ("0.0.0.0/0", "::/0") and not ports <= {"80", "443"}:
        message = f"admits any address to ports {', '.join(sorted(ports))}"
        yield finding(stack.template, "open-to-any-address", message, ("Resources", resource.logical_id))


RULES = (subnets_are_spread_over_the_zones, security_groups_are_narrow, all_flows_are_logged)
