"""ELBv2's operations: application load balancers, target groups, listeners with forward actions."""

from __future__ import annotations

import errno
import re
import secrets
import threading
from collections import Counter
from typing import Any

from local_aws.elbv2.proxy import Listener
from local_aws.elbv2.targets import GROUP, TargetGroups
from local_aws.errors import AwsError
from local_aws.jobs.table import Job, JobTable
from local_aws.logs_metrics.telemetry import Telemetry
from local_aws.operations import Handler
from local_aws.settings import ACCOUNT, REGION

BALANCER, LISTENER = "elbv2-load-balancer", "elbv2-listener"
_GROUP_DEFAULTS: dict[str, Any] = {
    "Protocol": "HTTP",
    "ProtocolVersion": "HTTP1",
    "Port": 80,
    "TargetType": "instance",
    "HealthCheckProtocol": "HTTP",
    "HealthCheckPort": "traffic-port",
    "HealthCheckEnabled": True,
    "HealthCheckIntervalSeconds": 30,
    "HealthCheckTimeoutSeconds": 5,
    "HealthyThresholdCount": 5,
    "UnhealthyThresholdCount": 2,
    "HealthCheckPath": "/",
    "Matcher": {"HttpCode": "200"},
}
_GROUP_ATTRIBUTES = {
    "deregistration_delay.timeout_seconds": "300",
    "stickiness.enabled": "false",
    "load_balancing.algorithm.type": "round_robin",
    "slow_start.duration_seconds": "0",
}
_BALANCER_ATTRIBUTES = {"idle_timeout.timeout_seconds": "60", "deletion_protection.enabled": "false"}
_METRICS_SECONDS = 5.0
_TICK_SECONDS = 0.1


class LoadBalancers:
    """The operations, and the running listeners (an executor: ``adopt`` binds them again)."""

    def __init__(self, table: JobTable, groups: TargetGroups, telemetry: Telemetry) -> None:
        self._table = table
        self._groups = groups
        self._telemetry = telemetry
        self._listeners: dict[str, Listener] = {}
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._counts_lock = threading.Lock()
        self._ticks = 0

    def handlers(self) -> dict[str, Handler]:
        """Operation name to handler."""
        return {
            "CreateLoadBalancer": self.create_balancer,
            "DescribeLoadBalancers": self.describe_balancers,
            "DeleteLoadBalancer": self.delete_balancer,
            "DescribeLoadBalancerAttributes": lambda r: self._attributes(BALANCER, r["LoadBalancerArn"]),
            "ModifyLoadBalancerAttributes": lambda r: self._modify(BALANCER, r["LoadBalancerArn"], r),
            "CreateTargetGroup": self.create_group,
            "DescribeTargetGroups": self.describe_groups,
            "ModifyTargetGroup": self.modify_group,
            "DeleteTargetGroup": self.delete_group,
            "DescribeTargetGroupAttributes": lambda r: self._attributes(GROUP, r["TargetGroupArn"]),
            "ModifyTargetGroupAttributes": lambda r: self._modify(GROUP, r["TargetGroupArn"], r),
            "RegisterTargets": self.register,
            "DeregisterTargets": self.deregister,
            "DescribeTargetHealth": self.target_health,
            "CreateListener": self.create_listener,
            "DescribeListeners": self.describe_listeners,
            "ModifyListener": self.modify_listener,
            "DeleteListener": self.delete_listener,
            "DescribeTags": self.describe_tags,
        }

    # ---- executor -------------------------------------------------------------------------
    def adopt(self) -> None:
        """Bind the listeners of an earlier process."""
        self._groups.adopt()
        for row in self._table.list(LISTENER):
            self._bind(row)

    def tick(self) -> None:
        """Probe targets; now and then publish request counts."""
        self._groups.tick()
        self._ticks += 1
        if self._ticks % int(_METRICS_SECONDS / _TICK_SECONDS) == 0:
            with self._counts_lock:
                counts, self._counts = self._counts, Counter()
            for (balancer, group, name), count in counts.items():
                dimensions = {"LoadBalancer": balancer, "TargetGroup": group}
                self._telemetry.put_metric("AWS/ApplicationELB", name, count, dimensions)

    def stop(self) -> None:
        """Close all listeners."""
        for listener in self._listeners.values():
            listener.close()
        self._groups.stop()

    def _bind(self, row: Job) -> None:
        def weights() -> list[tuple[str, int]]:
            current = self._table.get(LISTENER, row.name)
            return forward_weights(current.detail["actions"]) if current else []

        def count(arn: str, status: int) -> None:
            short = (row.parent.split("loadbalancer/")[1], arn.rsplit(":", 1)[1])
            with self._counts_lock:
                self._counts[*short, "RequestCount"] += 1
                self._counts[*short, f"HTTPCode_Target_{status // 100}XX_Count"] += 1

        try:
            self._listeners[row.name] = Listener(int(row.request["Port"]), self._groups, weights, count)
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            raise AwsError(
                "InvalidConfigurationRequest",
                f"local_aws: port {row.request['Port']} of 127.0.0.1 cannot be bound: {error.strerror}",
            ) from error

    # ---- load balancers -------------------------------------------------------------------
    def create_balancer(self, request: dict[str, Any]) -> dict[str, Any]:
        if request.get("Type", "application") != "application":
            raise AwsError("InvalidConfigurationRequest", "local_aws has application load balancers only")
        name = request["Name"]
        existing = next((b for b in self._table.list(BALANCER) if b.request["Name"] == name), None)
        if existing is None:
            arn = _arn(f"loadbalancer/app/{name}/{secrets.token_hex(8)}")
            existing = Job(BALANCER, arn, "active", request, {"attributes": dict(_BALANCER_ATTRIBUTES)})
            self._table.insert(existing)
        return {"LoadBalancers": [_balancer_view(existing)]}

    def describe_balancers(self, request: dict[str, Any]) -> dict[str, Any]:
        rows = _chosen(self._table.list(BALANCER), request.get("LoadBalancerArns"), request.get("Names"), "LoadBalancer")
        return {"LoadBalancers": [_balancer_view(row) for row in rows]}

    def delete_balancer(self, request: dict[str, Any]) -> None:
        arn = request["LoadBalancerArn"]
        for row in self._table.list(LISTENER, arn):
            self.delete_listener({"ListenerArn": row.name})
        self._table.delete(BALANCER, arn)

    # ---- target groups --------------------------------------------------------------------
    def create_group(self, request: dict[str, Any]) -> dict[str, Any]:
        settings = {**_GROUP_DEFAULTS, **request}
        name = settings["Name"]
        row = next((g for g in self._table.list(GROUP) if g.request["Name"] == name), None)
        if row is not None and row.request != settings:
            raise AwsError(
                "DuplicateTargetGroupName", f"A target group with the same name '{name}' exists, but with different settings"
            )
        if row is None:
            arn = _arn(f"targetgroup/{name}/{secrets.token_hex(8)}")
            row = Job(GROUP, arn, "active", settings, {"attributes": dict(_GROUP_ATTRIBUTES), "targets": []})
            self._table.insert(row)
        return {"TargetGroups": [self._group_view(row)]}

    def describe_groups(self, request: dict[str, Any]) -> dict[str, Any]:
        rows = _chosen(self._table.list(GROUP), request.get("TargetGroupArns"), request.get("Names"), "TargetGroup")
        views = [self._group_view(row) for row in rows]
        if balancer := request.get("LoadBalancerArn"):
            views = [view for view in views if balancer in view["LoadBalancerArns"]]
        return {"TargetGroups": views}

    def modify_group(self, request: dict[str, Any]) -> dict[str, Any]:
        arn = self._row(GROUP, request["TargetGroupArn"]).name
        with self._table.editing(GROUP, arn) as row:
            row.request |= {k: v for k, v in request.items() if k in _GROUP_DEFAULTS}
            return {"TargetGroups": [self._group_view(row)]}

    def delete_group(self, request: dict[str, Any]) -> None:
        arn = request["TargetGroupArn"]
        row = self._table.get(GROUP, arn)
        if row and self._group_view(row)["LoadBalancerArns"]:
            raise AwsError("ResourceInUse", f"Target group '{arn}' is currently in use by a listener or a rule")
        self._table.delete(GROUP, arn)
        self._groups.forget(arn)

    def register(self, request: dict[str, Any]) -> None:
        group = self._row(GROUP, request["TargetGroupArn"])
        for target in request["Targets"]:
            self._groups.register(group.name, _address(target, group))

    def deregister(self, request: dict[str, Any]) -> None:
        group = self._row(GROUP, request["TargetGroupArn"])
        for target in request["Targets"]:
            self._groups.deregister(group.name, _address(target, group))

    def target_health(self, request: dict[str, Any]) -> dict[str, Any]:
        group = self._row(GROUP, request["TargetGroupArn"])
        descriptions = []
        for (host, port), target in self._groups.health(group.name).items():
            health = {"State": target.state}
            if target.reason and target.state != "healthy":
                health |= {"Reason": target.reason, "Description": target.description}
            descriptions.append(
                {"Target": {"Id": host, "Port": port}, "HealthCheckPort": str(port), "TargetHealth": health}
            )
        return {"TargetHealthDescriptions": descriptions}

    # ---- listeners ------------------------------------------------------------------------
    def create_listener(self, request: dict[str, Any]) -> dict[str, Any]:
        balancer = self._row(BALANCER, request["LoadBalancerArn"])
        actions = self._checked(request["DefaultActions"])
        if any(int(row.request["Port"]) == int(request["Port"]) for row in self._table.list(LISTENER)):
            raise AwsError("DuplicateListener", f"A listener already exists on port {request['Port']}")
        arn = balancer.name.replace(":loadbalancer/", ":listener/") + "/" + secrets.token_hex(8)
        row = Job(LISTENER, arn, "active", request, {"actions": actions}, parent=balancer.name)
        self._bind(row)
        self._table.insert(row)
        return {"Listeners": [_listener_view(row)]}

    def describe_listeners(self, request: dict[str, Any]) -> dict[str, Any]:
        rows = self._table.list(LISTENER, request.get("LoadBalancerArn"))
        return {"Listeners": [_listener_view(r) for r in _chosen(rows, request.get("ListenerArns"), None, "Listener")]}

    def modify_listener(self, request: dict[str, Any]) -> dict[str, Any]:
        self._row(LISTENER, request["ListenerArn"])
        if "Port" in request:
            raise AwsError("NotImplemented", "local_aws: a listener's port cannot be changed", 501)
        with self._table.editing(LISTENER, request["ListenerArn"]) as row:
            if "DefaultActions" in request:
                row.detail["actions"] = self._checked(request["DefaultActions"])
            return {"Listeners": [_listener_view(row)]}

    def delete_listener(self, request: dict[str, Any]) -> None:
        arn = request["ListenerArn"]
        if listener := self._listeners.pop(arn, None):
            listener.close()
        self._table.delete(LISTENER, arn)

    def describe_tags(self, request: dict[str, Any]) -> dict[str, Any]:
        answers = []
        for arn in request["ResourceArns"]:
            kind = next((k for k in (BALANCER, GROUP, LISTENER) if self._table.get(k, arn)), None)
            row = self._table.get(kind, arn) if kind else None
            answers.append({"ResourceArn": arn, "Tags": row.request.get("Tags", []) if row else []})
        return {"TagDescriptions": answers}

    # ---- shared ---------------------------------------------------------------------------
    def _checked(self, actions: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for action in actions:
            if action["Type"] != "forward":
                raise AwsError("NotImplemented", f"local_aws: listener action {action['Type']}", 501)
        for arn, _ in forward_weights(actions):
            self._row(GROUP, arn)
        return actions

    def _row(self, kind: str, arn: str) -> Job:
        row = self._table.get(kind, arn)
        if row is None:
            what = {BALANCER: "LoadBalancer", GROUP: "TargetGroup", LISTENER: "Listener"}[kind]
            raise AwsError(f"{what}NotFound", f"{what} '{arn}' not found")
        return row

    def _attributes(self, kind: str, arn: str) -> dict[str, Any]:
        attributes = self._row(kind, arn).detail["attributes"]
        return {"Attributes": [{"Key": k, "Value": v} for k, v in attributes.items()]}

    def _modify(self, kind: str, arn: str, request: dict[str, Any]) -> dict[str, Any]:
        self._row(kind, arn)
        with self._table.editing(kind, arn) as row:
            row.detail["attributes"] |= {a["Key"]: a["Value"] for a in request["Attributes"]}
        return self._attributes(kind, arn)

    def _group_view(self, row: Job) -> dict[str, Any]:
        balancers = sorted(
            {
                listener.parent
                for listener in self._table.list(LISTENER)
                if row.name in [arn for arn, _ in forward_weights(listener.detail["actions"])]
            }
        )
        members = {k: row.request[k] for k in (*_GROUP_DEFAULTS, "VpcId") if k in row.request}
        return {
            **members,
            "TargetGroupArn": row.name,
            "TargetGroupName": row.request["Name"],
            "LoadBalancerArns": balancers,
        }


def forward_weights(actions: list[dict[str, Any]]) -> list[tuple[str, int]]:
    """(target group, weight) of a forward action; a single group has weight 1."""
    for action in actions:
        groups = action.get("ForwardConfig", {}).get("TargetGroups")
        if groups:
            return [(group["TargetGroupArn"], int(group.get("Weight", 1))) for group in groups]
        if "TargetGroupArn" in action:
            return [(action["TargetGroupArn"], 1)]
    return []


def _balancer_view(row: Job) -> dict[str, Any]:
    zones = [{"ZoneName": f"{REGION}a", "SubnetId": subnet} for subnet in row.request.get("Subnets", [])]
    return {
        "LoadBalancerArn": row.name,
        # the address under which its listeners really answer
        "DNSName": "127.0.0.1",
        "CanonicalHostedZoneId": "Z35SXDOTRQ7X7K",
        "CreatedTime": row.created,
        "LoadBalancerName": row.request["Name"],
        "Scheme": row.request.get("Scheme", "internet-facing"),
        "VpcId": "vpc-local",
        "State": {"Code": row.state},
        "Type": "application",
        "AvailabilityZones": zones,
        "SecurityGroups": row.request.get("SecurityGroups", []),
        "IpAddressType": row.request.get("IpAddressType", "ipv4"),
    }


def _listener_view(row: Job) -> dict[str, Any]:
    return {
        "ListenerArn": row.name,
        "LoadBalancerArn": row.parent,
        "Port": int(row.request["Port"]),
        "Protocol": row.request.get("Protocol", "HTTP"),
        "DefaultActions": row.detail["actions"],
    }


def _chosen(rows: list[Job], arns: list[str] | None, names: list[str] | None, what: str) -> list[Job]:
    chosen = [
        row
        for row in rows
        if (arns is None or row.name in arns) and (names is None or row.request.get("Name") in names)
    ]
    if (arns or names) and not chosen:
        raise AwsError(f"{what}NotFound", f"One or more {re.sub('(?<=[a-z])(?=[A-Z])', ' ', what)}s not found")
    return chosen


def _address(target: dict[str, Any], group: Job) -> tuple[str, int]:
    return target["Id"], int(target.get("Port") or group.request["Port"])


def _arn(resource: str) -> str:
    return f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:{resource}"
