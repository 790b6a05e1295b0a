"""Checks and describes the instance groups and fleets of a cluster.

Every cluster runs on this machine. So each target capacity counts as reached at once, and a managed scaling
policy is checked, stored and described but changes nothing.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from local_aws.emr.states import ACTIVE_CLUSTER
from local_aws.errors import AwsError
from local_aws.resources import Resource


def check_release(request: dict[str, Any]) -> None:
    """Raise AwsError for a release that EMR does not have, or software that would not be there."""
    label = request.get("ReleaseLabel", "emr-7.0.0")
    if not re.fullmatch(r"emr-[0-9]+\.[0-9]+\.[0-9]+(-latest)?", label):
        raise _invalid(f"The supplied release label is invalid: {label}.")
    for name in ("AmiVersion", "CustomAmiId", "KerberosAttributes"):
        if request.get(name):
            raise AwsError(
                "NotImplemented",
                f"local_aws does not implement emr:RunJobFlow: with {name} (steps run on this machine)",
                501,
            )


def check_instances(instances: dict[str, Any]) -> None:
    """Raise ValidationException if EMR would refuse ``RunJobFlow.Instances``."""
    groups, fleets = instances.get("InstanceGroups"), instances.get("InstanceFleets")
    if not (groups or fleets or instances.get("InstanceCount")):
        raise _invalid("Instances: InstanceGroups, InstanceFleets or a count is needed")
    if groups and fleets:
        raise _invalid("Instance groups and instance fleets cannot be used together.")
    roles = [group["InstanceRole"] for group in groups or ()]
    if groups and roles.count("MASTER") != 1:
        raise _invalid("Exactly one master instance group is needed.")
    if any(int(group["InstanceCount"]) < 1 for group in groups or () if group["InstanceRole"] != "TASK"):
        raise _invalid("InstanceCount of a master or core instance group must be at least 1.")
    kinds = [fleet["InstanceFleetType"] for fleet in fleets or ()]
    if len(kinds) != len(set(kinds)):
        raise _invalid("A cluster can have at most one instance fleet of each type.")
    if fleets and "MASTER" not in kinds:
        raise _invalid("A master instance fleet is needed.")
    for fleet in fleets or ():
        target = fleet.get("TargetOnDemandCapacity", 0) + fleet.get("TargetSpotCapacity", 0)
        if target < 1 or (fleet["InstanceFleetType"] == "MASTER" and target != 1):
            raise _invalid(f"Target capacity of the {fleet['InstanceFleetType']} instance fleet: {target}")
        if not fleet.get("InstanceTypeConfigs"):
            raise _invalid(f"The {fleet['InstanceFleetType']} instance fleet names no instance type")


def check_scaling(instances: dict[str, Any], policy: dict[str, Any]) -> None:
    """Raise ValidationException for a managed scaling policy that does not fit the cluster."""
    limits = policy["ComputeLimits"]
    is_fleet = limits["UnitType"] == "InstanceFleetUnits"
    if is_fleet is not bool(instances.get("InstanceFleets")):
        raise _invalid(f"UnitType {limits['UnitType']} does not fit the cluster's instance collection type")
    least, most = limits["MinimumCapacityUnits"], limits["MaximumCapacityUnits"]
    if not 1 <= least <= most:
        raise _invalid(f"MinimumCapacityUnits {least} and MaximumCapacityUnits {most} contradict each other")
    for name in ("MaximumOnDemandCapacityUnits", "MaximumCoreCapacityUnits"):
        if not 0 <= limits.get(name, most) <= most:
            raise _invalid(f"{name} {limits[name]} is above MaximumCapacityUnits {most}")


def group_views(cluster: Resource) -> list[dict[str, Any]]:
    """Build the answer of ListInstanceGroups: the requested groups, which run if the cluster does."""
    state = _member_state(cluster)
    return [
        {
            "Id": f"ig-{cluster.name[2:]}{index}",
            "Name": group.get("Name", group["InstanceRole"]),
            "Market": group.get("Market", "ON_DEMAND"),
            "InstanceGroupType": group["InstanceRole"],
            "InstanceType": group["InstanceType"],
            "RequestedInstanceCount": int(group["InstanceCount"]),
            "RunningInstanceCount": int(group["InstanceCount"]) if state == "RUNNING" else 0,
            "Status": _status(cluster),
        }
        for index, group in enumerate(_groups(cluster))
    ]


def fleet_views(cluster: Resource) -> list[dict[str, Any]]:
    """Build the answer of ListInstanceFleets: the requested fleets, at target capacity if it runs."""
    is_up = _member_state(cluster) == "RUNNING"
    views = []
    for index, fleet in enumerate(_fleets(cluster)):
        demand, spot = fleet.get("TargetOnDemandCapacity", 0), fleet.get("TargetSpotCapacity", 0)
        view = {
            "Id": _fleet_id(cluster, index),
            "Name": fleet.get("Name", ""),
            "InstanceFleetType": fleet["InstanceFleetType"],
            "TargetOnDemandCapacity": demand,
            "TargetSpotCapacity": spot,
            "ProvisionedOnDemandCapacity": demand if is_up else 0,
            "ProvisionedSpotCapacity": spot if is_up else 0,
            "InstanceTypeSpecifications": [
                {k: v for k, v in config.items() if k != "EbsConfiguration"}
                for config in fleet["InstanceTypeConfigs"]
            ],
            "Status": _status(cluster),
        }
        for member in ("LaunchSpecifications", "ResizeSpecifications"):
            if member in fleet:
                view[member] = fleet[member]
        views.append(view)
    return views


def instance_views(cluster: Resource, request: dict[str, Any]) -> list[dict[str, Any]]:
    """Build the answer of ListInstances: the instances of the groups, fleets and states in the request."""
    group_id, roles = request.get("InstanceGroupId"), request.get("InstanceGroupTypes")
    fleet_id, fleet_type = request.get("InstanceFleetId"), request.get("InstanceFleetType")
    states = request.get("InstanceStates")
    views = []
    for index, group in enumerate(_groups(cluster)):
        found = f"ig-{cluster.name[2:]}{index}"
        if group_id in (None, found) and (not roles or group["InstanceRole"] in roles):
            market = group.get("Market", "ON_DEMAND")
            views += [
                _instance_view(cluster, {"InstanceGroupId": found}, index, n, group["InstanceType"], market)
                for n in range(int(group["InstanceCount"]))
            ]
    for index, fleet in enumerate(_fleets(cluster)):
        found = _fleet_id(cluster, index)
        if fleet_id in (None, found) and fleet_type in (None, fleet["InstanceFleetType"]):
            demand, spot = fleet.get("TargetOnDemandCapacity", 0), fleet.get("TargetSpotCapacity", 0)
            types = [config["InstanceType"] for config in fleet["InstanceTypeConfigs"]]
            views += [
                # a fleet that is diversified shows several of its types
                _instance_view(
                    cluster,
                    {"InstanceFleetId": found},
                    index,
                    n,
                    types[n % len(types)],
                    "ON_DEMAND" if n < demand else "SPOT",
                )
                for n in range(demand + spot)
            ]
    return [view for view in views if not states or view["Status"]["State"] in states]


def _instance_view(
    cluster: Resource, group_id: dict[str, str], index: int, number: int, instance_type: str, market: str
) -> dict[str, Any]:
    digest = hashlib.sha256(f"{cluster.name}/{index}/{number}".encode()).hexdigest()
    return {
        "Id": f"ci-{cluster.name[2:]}{index:02d}{number:02d}",
        "Ec2InstanceId": f"i-{digest[:17]}",
        "PublicDnsName": "localhost",
        "PrivateDnsName": "localhost",
        "PrivateIpAddress": "127.0.0.1",
        **group_id,
        "InstanceType": instance_type,
        "Market": market,
        "Status": {
            "State": "RUNNING" if _member_state(cluster) == "RUNNING" else "TERMINATED",
            "StateChangeReason": {},
            "Timeline": {"CreationDateTime": cluster.created},
        },
    }


def _groups(cluster: Resource) -> list[dict[str, Any]]:
    instances = cluster.request["Instances"]
    if groups := instances.get("InstanceGroups"):
        return list(groups)
    if instances.get("InstanceFleets"):
        return []
    count = int(instances["InstanceCount"])
    master = {
        "InstanceRole": "MASTER",
        "InstanceType": instances.get("MasterInstanceType", "m5.xlarge"),
        "InstanceCount": 1,
    }
    core = {
        "InstanceRole": "CORE",
        "InstanceType": instances.get("SlaveInstanceType", "m5.xlarge"),
        "InstanceCount": count - 1,
    }
    return [master, core] if count > 1 else [master]


def _fleets(cluster: Resource) -> list[dict[str, Any]]:
    return list(cluster.request["Instances"].get("InstanceFleets") or ())


def _fleet_id(cluster: Resource, index: int) -> str:
    return f"if-{cluster.name[2:]}{index}"


def _status(cluster: Resource) -> dict[str, Any]:
    timeline = {"CreationDateTime": cluster.created}
    return {"State": _member_state(cluster), "StateChangeReason": {}, "Timeline": timeline}


def _member_state(cluster: Resource) -> str:
    if cluster.state in ("RUNNING", "WAITING"):
        return "RUNNING"
    return "PROVISIONING" if cluster.state in ACTIVE_CLUSTER else "TERMINATED"


def _invalid(message: str) -> AwsError:
    return AwsError("ValidationException", message)
