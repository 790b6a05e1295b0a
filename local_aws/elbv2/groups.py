"""The operations on target groups."""

from __future__ import annotations

from typing import Any

from local_aws.elbv2.names import (
    GROUP,
    GROUP_ATTRIBUTES,
    GROUP_DEFAULTS,
    LISTENER,
    check_name,
    forwards,
    invalid,
    missing,
    new_arn,
)
from local_aws.elbv2.targets import Group, Key, Targets
from local_aws.errors import AwsError
from local_aws.front_door.operations import Handler
from local_aws.resources import Resource, ResourceTable

_MODIFIABLE = (
    "HealthCheckProtocol",
    "HealthCheckPort",
    "HealthCheckPath",
    "HealthCheckEnabled",
    "HealthCheckIntervalSeconds",
    "HealthCheckTimeoutSeconds",
    "HealthyThresholdCount",
    "UnhealthyThresholdCount",
    "Matcher",
)
_CREATABLE = (*_MODIFIABLE, "Protocol", "ProtocolVersion", "Port", "VpcId", "TargetType", "IpAddressType")


class TargetGroups:
    """The operations that manage target groups, register their targets and describe target health."""

    def __init__(self, table: ResourceTable, targets: Targets) -> None:
        self._table = table
        self._targets = targets

    def handlers(self) -> dict[str, Handler]:
        """Return the handlers by operation name."""
        return {
            "CreateTargetGroup": self.create,
            "DescribeTargetGroups": self.describe,
            "ModifyTargetGroup": self.modify,
            "DeleteTargetGroup": self.delete,
            "DescribeTargetGroupAttributes": self.describe_attributes,
            "ModifyTargetGroupAttributes": self.modify_attributes,
            "RegisterTargets": self.register,
            "DeregisterTargets": self.deregister,
            "DescribeTargetHealth": self.health,
        }

    def create(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["Name"]
        check_name(name)
        view = GROUP_DEFAULTS | {key: request[key] for key in _CREATABLE if key in request}
        if view["Protocol"] != "HTTP" or view["ProtocolVersion"] != "HTTP1":
            raise invalid("local_aws supports target groups of Protocol HTTP and ProtocolVersion HTTP1")
        if view["TargetType"] == "lambda" or "Port" not in view:
            raise invalid("local_aws supports target groups of type ip or instance, with a Port")
        _check_probe(view)
        for row in self._table.list(GROUP):
            if row.detail["view"]["TargetGroupName"] == name:
                if {k: v for k, v in row.detail["view"].items() if k in view} == view:
                    return {"TargetGroups": [self._view(row)]}
                raise AwsError(
                    "DuplicateTargetGroupName",
                    f"A target group with the same name '{name}' exists, but with different settings",
                )
        arn = new_arn(GROUP, name)
        detail = {
            "view": view | {"TargetGroupArn": arn, "TargetGroupName": name},
            "attributes": dict(GROUP_ATTRIBUTES),
            "targets": [],
            "tags": {tag["Key"]: tag.get("Value", "") for tag in request.get("Tags", [])},
        }
        row = Resource(GROUP, arn, "active", request, detail)
        self._table.insert(row)
        self._targets.put(row)
        return {"TargetGroups": [self._view(row)]}

    def describe(self, request: dict[str, Any]) -> dict[str, Any]:
        rows = self._table.list(GROUP)
        if names := request.get("Names"):
            rows = [row for row in rows if row.detail["view"]["TargetGroupName"] in names]
            if not rows:
                raise missing(GROUP, ", ".join(names))
        if arns := request.get("TargetGroupArns"):
            rows = [self._row(arn) for arn in arns]
        views = [self._view(row) for row in rows]
        if balancer := request.get("LoadBalancerArn"):
            views = [view for view in views if balancer in view["LoadBalancerArns"]]
        return {"TargetGroups": views}

    def modify(self, request: dict[str, Any]) -> dict[str, Any]:
        arn = request["TargetGroupArn"]
        self._row(arn)
        with self._table.editing(GROUP, arn) as row:
            view = row.detail["view"] | {key: request[key] for key in _MODIFIABLE if key in request}
            _check_probe(view)
            row.detail["view"] = view
        self._targets.put(row)
        return {"TargetGroups": [self._view(row)]}

    def delete(self, request: dict[str, Any]) -> dict[str, Any]:
        arn = request["TargetGroupArn"]
        if users(self._table, arn):
            raise AwsError(
                "ResourceInUse", f"Target group '{arn}' is currently in use by a listener or a rule"
            )
        self._table.delete(GROUP, arn)
        self._targets.remove(arn)
        return {}

    def describe_attributes(self, request: dict[str, Any]) -> dict[str, Any]:
        return _attributes(self._row(request["TargetGroupArn"]))

    def modify_attributes(self, request: dict[str, Any]) -> dict[str, Any]:
        self._row(request["TargetGroupArn"])
        with self._table.editing(GROUP, request["TargetGroupArn"]) as row:
            for attribute in request["Attributes"]:
                if attribute["Key"] not in GROUP_ATTRIBUTES:
                    raise invalid(f"Target group attribute key '{attribute['Key']}' is not recognized")
                row.detail["attributes"][attribute["Key"]] = attribute.get("Value", "")
        self._targets.put(row)
        return _attributes(row)

    def register(self, request: dict[str, Any]) -> dict[str, Any]:
        arn = request["TargetGroupArn"]
        for host, port in self._addresses(arn, request):
            if host not in ("127.0.0.1", "localhost"):
                raise AwsError(
                    "InvalidTarget",
                    f"The target '{host}' is not on this machine; local_aws supports 127.0.0.1",
                )
            self._targets.register(arn, host, port)
        return {}

    def deregister(self, request: dict[str, Any]) -> dict[str, Any]:
        arn = request["TargetGroupArn"]
        for host, port in self._addresses(arn, request):
            self._targets.deregister(arn, host, port)
        return {}

    def health(self, request: dict[str, Any]) -> dict[str, Any]:
        arn = request["TargetGroupArn"]
        self._row(arn)
        in_use = bool(users(self._table, arn))
        asked = self._addresses(arn, request) if request.get("Targets") else None
        group = self._targets.group(arn)
        with self._targets.lock:
            keys = list(group.targets) if asked is None else asked
            return {"TargetHealthDescriptions": [_health(group, key, in_use) for key in keys]}

    def _addresses(self, arn: str, request: dict[str, Any]) -> list[tuple[str, int]]:
        default = self._row(arn).detail["view"]["Port"]
        return [(target["Id"], int(target.get("Port") or default)) for target in request["Targets"]]

    def _row(self, arn: str) -> Resource:
        row = self._table.get(GROUP, arn)
        if row is None:
            raise missing(GROUP, arn)
        return row

    def _view(self, row: Resource) -> dict[str, Any]:
        return {**row.detail["view"], "LoadBalancerArns": users(self._table, row.name)}


def users(table: ResourceTable, group: str) -> list[str]:
    """Return the ARNs of the load balancers that forward to a group."""
    forwarding = (
        row.parent
        for row in table.list(LISTENER)
        if any(group == arn for arn, _ in forwards(row.detail["view"]["DefaultActions"]))
    )
    return list(dict.fromkeys(forwarding))


def _health(group: Group, key: Key, in_use: bool) -> dict[str, Any]:
    target = group.targets.get(key)
    if target is None:
        health = {
            "State": "unused",
            "Reason": "Target.NotRegistered",
            "Description": "Target is not registered",
        }
    elif not in_use:
        health = {"State": "unused", "Reason": "Target.NotInUse", "Description": "No listener uses the group"}
    else:
        found = {"State": target.state, "Reason": target.reason, "Description": target.description}
        health = {name: value for name, value in found.items() if value}
    port = group.settings["HealthCheckPort"]
    return {
        "Target": {"Id": key[0], "Port": key[1]},
        "HealthCheckPort": str(key[1]) if port == "traffic-port" else port,
        "TargetHealth": health,
    }


def _attributes(row: Resource) -> dict[str, Any]:
    return {"Attributes": [{"Key": k, "Value": v} for k, v in sorted(row.detail["attributes"].items())]}


def _check_probe(view: dict[str, Any]) -> None:
    if view["HealthCheckProtocol"] != "HTTP":
        raise invalid("local_aws supports HealthCheckProtocol HTTP")
    if not str(view["HealthCheckPath"]).startswith("/"):
        raise invalid(f"Health check path '{view['HealthCheckPath']}' must begin with a '/' character")
    for name in ("HealthCheckIntervalSeconds", "HealthCheckTimeoutSeconds"):
        # AWS requires at least 5 s and 2 s; shorter times are accepted here so that tests are fast
        if int(view[name]) < 1:
            raise invalid(f"{name} must be at least 1, got {view[name]}")
    for part in str(view["Matcher"].get("HttpCode", "")).replace("-", ",").split(","):
        if not part.strip().isdigit() or not 200 <= int(part) <= 499:
            raise invalid(f"Health check matcher HTTP code '{view['Matcher'].get('HttpCode')}' is not valid")
