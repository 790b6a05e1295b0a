"""What EMR's reading operations show of a cluster, its steps and its instances."""

from __future__ import annotations

import hashlib
from typing import Any

from local_aws.emr.states import ACTIVE_CLUSTER
from local_aws.jobs.table import Job
from local_aws.settings import ACCOUNT, REGION


def cluster_view(row: Job) -> dict[str, Any]:
    """DescribeCluster's view of a row."""
    instances = row.request["Instances"]
    attributes = {
        "IamInstanceProfile": row.request.get("JobFlowRole", ""),
        "Ec2AvailabilityZone": f"{REGION}a",
        "Ec2SubnetId": instances.get("Ec2SubnetId", ""),
    }
    timeline = {"CreationDateTime": row.created}
    timeline |= {
        m: row.detail[k] for m, k in (("ReadyDateTime", "ready"), ("EndDateTime", "ended")) if k in row.detail
    }
    view = {
        "Id": row.name,
        "Name": row.request["Name"],
        "Status": {"State": row.state, "StateChangeReason": row.detail["reason"], "Timeline": timeline},
        "Ec2InstanceAttributes": attributes,
        "InstanceCollectionType": "INSTANCE_FLEET" if instances.get("InstanceFleets") else "INSTANCE_GROUP",
        "ReleaseLabel": row.request.get("ReleaseLabel", "emr-7.12.0"),
        "AutoTerminate": not instances.get("KeepJobFlowAliveWhenNoSteps", False),
        "TerminationProtected": row.detail["protected"],
        "VisibleToAllUsers": bool(row.request.get("VisibleToAllUsers", True)),
        "Applications": row.request.get("Applications", []),
        "Tags": row.detail["tags"],
        "NormalizedInstanceHours": 0,
        "MasterPublicDnsName": "localhost",
        "Configurations": row.request.get("Configurations", []),
        "ScaleDownBehavior": row.request.get("ScaleDownBehavior", "TERMINATE_AT_TASK_COMPLETION"),
        "ClusterArn": cluster_arn(row.name),
        "StepConcurrencyLevel": row.detail["concurrency"],
    }
    for member in ("LogUri", "ServiceRole", "AutoScalingRole", "EbsRootVolumeSize"):
        if member in row.request:
            view[member] = row.request[member]
    return view


def step_view(row: Job) -> dict[str, Any]:
    """DescribeStep's view of a row."""
    jar = row.request["HadoopJarStep"]
    status: dict[str, Any] = {
        "State": row.state,
        "StateChangeReason": row.detail.get("reason", {}),
        "Timeline": {"CreationDateTime": row.created}
        | {
            m: row.detail[k]
            for m, k in (("StartDateTime", "started"), ("EndDateTime", "ended"))
            if k in row.detail
        },
    }
    if failure := row.detail.get("failure"):
        status["FailureDetails"] = failure
    return {
        "Id": row.name,
        "Name": row.request["Name"],
        "Config": {
            "Jar": jar["Jar"],
            "Properties": {p["Key"]: p["Value"] for p in jar.get("Properties", [])},
            "MainClass": jar.get("MainClass", ""),
            "Args": jar.get("Args", []),
        },
        "ActionOnFailure": row.request.get("ActionOnFailure", "CONTINUE"),
        "Status": status,
    }


def _groups(cluster: Job) -> list[dict[str, Any]]:
    instances = cluster.request["Instances"]
    if groups := instances.get("InstanceGroups"):
        return list(groups)
    if instances.get("InstanceFleets"):
        return []
    count = instance_count(instances)
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


def group_views(cluster: Job) -> list[dict[str, Any]]:
    """ListInstanceGroups: the groups that were asked for, running when the cluster is."""
    return [_group_view(cluster, group, index) for index, group in enumerate(_groups(cluster))]


def _group_view(cluster: Job, group: dict[str, Any], index: int) -> dict[str, Any]:
    state = _member_state(cluster)
    count = int(group["InstanceCount"])
    return {
        "Id": f"ig-{cluster.name[2:]}{index}",
        "Name": group.get("Name", group["InstanceRole"]),
        "Market": group.get("Market", "ON_DEMAND"),
        "InstanceGroupType": group["InstanceRole"],
        "InstanceType": group["InstanceType"],
        "RequestedInstanceCount": count,
        "RunningInstanceCount": count if state == "RUNNING" else 0,
        "Status": {
            "State": state,
            "StateChangeReason": {},
            "Timeline": {"CreationDateTime": cluster.created},
        },
    }


def fleet_views(cluster: Job) -> list[dict[str, Any]]:
    """ListInstanceFleets: every target is met."""
    return [
        {
            "Id": f"if-{cluster.name[2:]}{index}",
            "Name": fleet.get("Name", ""),
            "InstanceFleetType": fleet["InstanceFleetType"],
            "TargetOnDemandCapacity": fleet.get("TargetOnDemandCapacity", 0),
            "TargetSpotCapacity": fleet.get("TargetSpotCapacity", 0),
            "ProvisionedOnDemandCapacity": fleet.get("TargetOnDemandCapacity", 0),
            "ProvisionedSpotCapacity": fleet.get("TargetSpotCapacity", 0),
            "Status": {"State": _member_state(cluster), "StateChangeReason": {}},
        }
        for index, fleet in enumerate(cluster.request["Instances"].get("InstanceFleets", []))
    ]


def instance_views(cluster: Job, roles: list[str] | None) -> list[dict[str, Any]]:
    """ListInstances: one entry for each instance of the groups with these roles (None: of all)."""
    return [
        _instance_view(cluster, group, index, number)
        for index, group in enumerate(_groups(cluster))
        if not roles or group["InstanceRole"] in roles
        for number in range(int(group["InstanceCount"]))
    ]


def _instance_view(cluster: Job, group: dict[str, Any], index: int, number: int) -> dict[str, Any]:
    digest = hashlib.sha256(f"{cluster.name}/{index}/{number}".encode()).hexdigest()
    return {
        "Id": f"ci-{cluster.name[2:]}{index:02d}{number:02d}",
        "Ec2InstanceId": f"i-{digest[:17]}",
        "PublicDnsName": "localhost",
        "PrivateDnsName": "localhost",
        "PrivateIpAddress": "127.0.0.1",
        "InstanceGroupId": f"ig-{cluster.name[2:]}{index}",
        "InstanceType": group["InstanceType"],
        "Market": group.get("Market", "ON_DEMAND"),
        "Status": {
            "State": "RUNNING" if _member_state(cluster) == "RUNNING" else "TERMINATED",
            "StateChangeReason": {},
            "Timeline": {"CreationDateTime": cluster.created},
        },
    }


def bootstrap_views(cluster: Job) -> list[dict[str, Any]]:
    """ListBootstrapActions, as the request had them."""
    return [
        {
            "Name": action["Name"],
            "ScriptPath": action["ScriptBootstrapAction"]["Path"],
            "Args": action["ScriptBootstrapAction"].get("Args", []),
        }
        for action in cluster.request.get("BootstrapActions", [])
    ]


def _member_state(cluster: Job) -> str:
    if cluster.state in ("RUNNING", "WAITING"):
        return "RUNNING"
    return "PROVISIONING" if cluster.state in ACTIVE_CLUSTER else "TERMINATED"


def instance_count(instances: dict[str, Any]) -> int:
    """Instances that a request without groups asks for; 0 when it names none."""
    return int(instances.get("InstanceCount", 0))


def cluster_arn(name: str) -> str:
    """ARN of the cluster with this id."""
    return f"arn:aws:elasticmapreduce:{REGION}:{ACCOUNT}:cluster/{name}"
