"""The answers of EMR's Describe and List operations, built from rows of the resource table."""

from __future__ import annotations

from typing import Any

from local_aws.resources import Resource
from local_aws.settings import ACCOUNT, REGION


def cluster_view(row: Resource) -> dict[str, Any]:
    """Build the ``Cluster`` of DescribeCluster."""
    instances = row.request["Instances"]
    attributes: dict[str, Any] = {
        "IamInstanceProfile": row.request.get("JobFlowRole", ""),
        "Ec2AvailabilityZone": f"{REGION}a",
        "Ec2SubnetId": instances.get("Ec2SubnetId", ""),
        "RequestedEc2SubnetIds": instances.get("Ec2SubnetIds", []),
    }
    if subnets := instances.get("Ec2SubnetIds"):
        attributes["Ec2SubnetId"] = subnets[0]
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
    for member in ("LogUri", "ServiceRole", "AutoScalingRole", "EbsRootVolumeSize", "SecurityConfiguration"):
        if member in row.request:
            view[member] = row.request[member]
    return view


def step_view(row: Resource) -> dict[str, Any]:
    """Build the ``Step`` of DescribeStep."""
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
    view = {
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
    role = row.request.get("ExecutionRoleArn")
    return view | ({"ExecutionRoleArn": role} if role else {})


def bootstrap_views(cluster: Resource) -> list[dict[str, Any]]:
    """Build the ``BootstrapActions`` of ListBootstrapActions from the cluster's request."""
    return [
        {
            "Name": action["Name"],
            "ScriptPath": action["ScriptBootstrapAction"]["Path"],
            "Args": action["ScriptBootstrapAction"].get("Args", []),
        }
        for action in cluster.request.get("BootstrapActions", [])
    ]


def cluster_arn(name: str) -> str:
    """Return the ARN of the cluster with this id."""
    return f"arn:aws:elasticmapreduce:{REGION}:{ACCOUNT}:cluster/{name}"
