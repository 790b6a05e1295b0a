"""The operations on load balancers and listeners.

Every balancer has the address 127.0.0.1, so a port belongs to one listener of all balancers.
"""

from __future__ import annotations

from typing import Any

from local_aws.elbv2.names import (
    BALANCER,
    BALANCER_ATTRIBUTES,
    GROUP,
    LISTENER,
    check_name,
    forwards,
    invalid,
    missing,
    new_arn,
)
from local_aws.elbv2.plane import DataPlane
from local_aws.errors import AwsError
from local_aws.front_door.operations import Handler
from local_aws.resources import Resource, ResourceTable
from local_aws.settings import REGION

_DNS_NAME = "127.0.0.1"


class LoadBalancers:
    """Application load balancers with HTTP listeners that forward or answer a fixed response."""

    def __init__(self, table: ResourceTable, plane: DataPlane) -> None:
        self._table = table
        self._plane = plane

    def handlers(self) -> dict[str, Handler]:
        """Return the handlers by operation name."""
        return {
            "CreateLoadBalancer": self.create,
            "DescribeLoadBalancers": self.describe,
            "DeleteLoadBalancer": self.delete,
            "DescribeLoadBalancerAttributes": self.describe_attributes,
            "ModifyLoadBalancerAttributes": self.modify_attributes,
            "CreateListener": self.create_listener,
            "DescribeListeners": self.describe_listeners,
            "ModifyListener": self.modify_listener,
            "DeleteListener": self.delete_listener,
            "DescribeRules": self.describe_rules,
            "AddTags": self.add_tags,
            "RemoveTags": self.remove_tags,
            "DescribeTags": self.describe_tags,
        }

    # ---- balancers ----------------------------------------------------------
    def create(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["Name"]
        check_name(name)
        if request.get("Type", "application") != "application":
            raise invalid("local_aws supports load balancers of type application")
        subnets = request.get("Subnets") or [m["SubnetId"] for m in request.get("SubnetMappings", [])]
        if not subnets:
            raise invalid("At least two subnets in two different Availability Zones must be specified")
        for row in self._table.list(BALANCER):
            if row.detail["view"]["LoadBalancerName"] == name:
                if row.request == request:
                    return {"LoadBalancers": [_view(row)]}
                raise AwsError(
                    "DuplicateLoadBalancerName", f"A load balancer with the same name '{name}' exists"
                )
        arn = new_arn(BALANCER, name)
        view = {
            "LoadBalancerArn": arn,
            "DNSName": _DNS_NAME,
            "CanonicalHostedZoneId": "Z35SXDOTRQ7X7K",
            "LoadBalancerName": name,
            "Scheme": request.get("Scheme", "internet-facing"),
            "VpcId": "vpc-local",
            "State": {"Code": "active"},
            "Type": "application",
            "AvailabilityZones": [
                {"ZoneName": f"{REGION}{'abcdef'[n % 6]}", "SubnetId": subnet}
                for n, subnet in enumerate(subnets)
            ],
            "SecurityGroups": request.get("SecurityGroups", []),
            "IpAddressType": request.get("IpAddressType", "ipv4"),
        }
        tags = {tag["Key"]: tag.get("Value", "") for tag in request.get("Tags", [])}
        row = Resource(
            BALANCER,
            arn,
            "active",
            request,
            {"view": view, "attributes": dict(BALANCER_ATTRIBUTES), "tags": tags},
        )
        self._table.insert(row)
        return {"LoadBalancers": [_view(row)]}

    def describe(self, request: dict[str, Any]) -> dict[str, Any]:
        rows = self._table.list(BALANCER)
        if names := request.get("Names"):
            rows = [row for row in rows if row.detail["view"]["LoadBalancerName"] in names]
            if len(rows) < len(set(names)):
                raise missing(BALANCER, ", ".join(names))
        if arns := request.get("LoadBalancerArns"):
            rows = [self._row(BALANCER, arn) for arn in arns]
        return {"LoadBalancers": [_view(row) for row in rows]}

    def delete(self, request: dict[str, Any]) -> dict[str, Any]:
        arn = request["LoadBalancerArn"]
        row = self._table.get(BALANCER, arn)
        if row and row.detail["attributes"]["deletion_protection.enabled"] == "true":
            raise AwsError("OperationNotPermitted", f"Load balancer '{arn}' has deletion protection enabled")
        for listener in self._table.list(LISTENER, arn):
            self.delete_listener({"ListenerArn": listener.name})
        self._table.delete(BALANCER, arn)
        return {}

    def describe_attributes(self, request: dict[str, Any]) -> dict[str, Any]:
        return _attributes(self._row(BALANCER, request["LoadBalancerArn"]))

    def modify_attributes(self, request: dict[str, Any]) -> dict[str, Any]:
        arn = request["LoadBalancerArn"]
        self._row(BALANCER, arn)
        with self._table.editing(BALANCER, arn) as row:
            for attribute in request["Attributes"]:
                if attribute["Key"] not in BALANCER_ATTRIBUTES:
                    raise invalid(f"Load balancer attribute key '{attribute['Key']}' is not recognized")
                row.detail["attributes"][attribute["Key"]] = attribute.get("Value", "")
        for listener in self._table.list(LISTENER, arn):
            self._open(listener)
        return _attributes(row)

    # ---- listeners ----------------------------------------------------------
    def create_listener(self, request: dict[str, Any]) -> dict[str, Any]:
        balancer = self._row(BALANCER, request["LoadBalancerArn"])
        port = int(request.get("Port") or 0)
        if request.get("Protocol", "HTTP") != "HTTP" or not 0 < port < 65536:
            raise invalid("local_aws supports listeners of Protocol HTTP on a port from 1 to 65535")
        self._check_actions(request["DefaultActions"])
        for other in self._table.list(LISTENER):
            if other.detail["view"]["Port"] == port:
                # all balancers have the same address
                raise AwsError("DuplicateListener", f"A listener already exists on port {port}: {other.name}")
        arn = new_arn(LISTENER, balancer.name)
        view = {
            "ListenerArn": arn,
            "LoadBalancerArn": balancer.name,
            "Port": port,
            "Protocol": "HTTP",
            "DefaultActions": _complete(request["DefaultActions"]),
        }
        tags = {tag["Key"]: tag.get("Value", "") for tag in request.get("Tags", [])}
        row = Resource(LISTENER, arn, "active", request, {"view": view, "tags": tags}, parent=balancer.name)
        self._open(row)
        self._table.insert(row)
        return {"Listeners": [view]}

    def describe_listeners(self, request: dict[str, Any]) -> dict[str, Any]:
        if arns := request.get("ListenerArns"):
            return {"Listeners": [self._row(LISTENER, arn).detail["view"] for arn in arns]}
        if "LoadBalancerArn" not in request:
            raise invalid("You must specify either listener ARNs or a load balancer ARN")
        self._row(BALANCER, request["LoadBalancerArn"])
        rows = self._table.list(LISTENER, request["LoadBalancerArn"])
        return {"Listeners": [row.detail["view"] for row in rows]}

    def modify_listener(self, request: dict[str, Any]) -> dict[str, Any]:
        row = self._row(LISTENER, request["ListenerArn"])
        view = dict(row.detail["view"])
        if "DefaultActions" in request:
            self._check_actions(request["DefaultActions"])
            view["DefaultActions"] = _complete(request["DefaultActions"])
        if request.get("Protocol", "HTTP") != "HTTP":
            raise invalid("local_aws supports listeners of Protocol HTTP")
        view["Port"] = int(request.get("Port") or view["Port"])
        row.detail["view"] = view
        self._open(row)
        with self._table.editing(LISTENER, row.name) as stored:
            stored.detail["view"] = view
        return {"Listeners": [view]}

    def delete_listener(self, request: dict[str, Any]) -> dict[str, Any]:
        arn = request["ListenerArn"]
        self._row(LISTENER, arn)
        self._table.delete(LISTENER, arn)
        self._plane.close(arn)
        return {}

    def describe_rules(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the default rule of a listener. Other rules are not supported."""
        row = self._row(LISTENER, request.get("ListenerArn", "(RuleArns)"))
        rule = {
            "RuleArn": row.name.replace(":listener/", ":listener-rule/") + "/default",
            "Priority": "default",
            "Conditions": [],
            "Actions": row.detail["view"]["DefaultActions"],
            "IsDefault": True,
        }
        return {"Rules": [rule]}

    # ---- tags ---------------------------------------------------------------
    def add_tags(self, request: dict[str, Any]) -> dict[str, Any]:
        for arn in request["ResourceArns"]:
            with self._table.editing(_kind(self._table, arn), arn) as row:
                row.detail["tags"] |= {tag["Key"]: tag.get("Value", "") for tag in request["Tags"]}
        return {}

    def remove_tags(self, request: dict[str, Any]) -> dict[str, Any]:
        for arn in request["ResourceArns"]:
            with self._table.editing(_kind(self._table, arn), arn) as row:
                for key in request["TagKeys"]:
                    row.detail["tags"].pop(key, None)
        return {}

    def describe_tags(self, request: dict[str, Any]) -> dict[str, Any]:
        descriptions = []
        for arn in request["ResourceArns"]:
            tags = self._row(_kind(self._table, arn), arn).detail["tags"]
            descriptions.append(
                {"ResourceArn": arn, "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}
            )
        return {"TagDescriptions": descriptions}

    # ---- helpers ------------------------------------------------------------
    def _open(self, row: Resource) -> None:
        balancer = self._row(BALANCER, row.parent)
        idle = float(balancer.detail["attributes"]["idle_timeout.timeout_seconds"])
        try:
            self._plane.open(row.name, row.detail["view"], idle)
        except OSError as error:
            port = row.detail["view"]["Port"]
            raise AwsError(
                "InvalidConfigurationRequest",
                f"Cannot listen on port {port} of this machine: {error.strerror}",
            ) from error

    def _check_actions(self, actions: list[dict[str, Any]]) -> None:
        if len(actions) != 1 or actions[0]["Type"] not in ("forward", "fixed-response"):
            raise invalid(
                "local_aws supports exactly one action per listener, of type forward or fixed-response"
            )
        for arn, weight in forwards(actions):
            self._row(GROUP, arn)
            if not 0 <= weight <= 999:
                raise invalid(f"The weight of target group '{arn}' must be from 0 to 999, got {weight}")

    def _row(self, kind: str, arn: str) -> Resource:
        row = self._table.get(kind, arn)
        if row is None:
            raise missing(kind, arn)
        return row


def _complete(actions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the actions as ELB describes them.

    A forward action lists its groups with weights, and has ``TargetGroupArn`` too if it has only one group.
    """
    shown = []
    for action in actions:
        groups = forwards([action])
        if groups:
            config = {
                "TargetGroups": [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in groups],
                "TargetGroupStickinessConfig": {"Enabled": False},
            }
            alone = {"TargetGroupArn": groups[0][0]} if len(groups) == 1 else {}
            shown.append({"Type": "forward", "Order": 1, "ForwardConfig": config, **alone})
        else:
            shown.append(action)
    return shown


def _view(row: Resource) -> dict[str, Any]:
    return {**row.detail["view"], "CreatedTime": row.created}


def _attributes(row: Resource) -> dict[str, Any]:
    return {"Attributes": [{"Key": k, "Value": v} for k, v in sorted(row.detail["attributes"].items())]}


def _kind(table: ResourceTable, arn: str) -> str:
    for kind in (BALANCER, GROUP, LISTENER):
        if table.get(kind, arn):
            return kind
    raise missing(BALANCER if ":loadbalancer/" in arn else GROUP, arn)
