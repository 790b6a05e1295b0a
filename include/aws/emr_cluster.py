"""Requests of EMR on EC2: the cluster of a run, with instance fleets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from include.contracts.artifacts import EMR_BOOTSTRAP
from include.contracts.records import canonical_json, content_hash
from include.contracts.storage import S3Uri
from include.settings import Settings
from include.settings.spark import EmrSettings

#: Application masters run on core nodes, which are on demand. So no application ends if a spot node is
#: reclaimed or scaling removes a task node. EMR 6 and later disable node labels by default.
_YARN = {
    "yarn.node-labels.enabled": "true",
    "yarn.node-labels.am.default-node-label-expression": "CORE",
}
#: A node that will be removed gets no new tasks, and the loss of its shuffle files does not count as a failed
#: attempt of the stage. These are EMR's properties for YARN; ``spark.decommission`` does not apply to YARN.
_DECOMMISSIONING = {
    "spark.blacklist.decommissioning.enabled": "true",
    "spark.blacklist.decommissioning.timeout": "1h",
    "spark.stage.attempt.ignoreOnDecommissionFetchFailure": "true",
    "spark.resourceManager.cleanupExpiredHost": "true",
}
#: The interpreter of the packed environment in the working folder of an executor's container …
EXECUTOR_PYTHON = "./environment/bin/python"
#: … and where the bootstrap action puts it for the driver, which in client mode runs on the master node.
DRIVER_PYTHON = "/opt/nexus/environment/bin/python"

#: The states of a cluster: True while it takes steps or will take them.
CLUSTER_STATES = {
    "STARTING": True,
    "BOOTSTRAPPING": True,
    "RUNNING": True,
    "WAITING": True,
    "TERMINATING": False,
    "TERMINATED": False,
    "TERMINATED_WITH_ERRORS": False,
}
#: The tag that carries the hash of the request that a cluster was started by.
_REQUEST_TAG = "request"


def cluster_request(settings: Settings, name: str, code: S3Uri) -> dict[str, Any]:
    """Build RunJobFlow for one corpus. The cluster waits for steps, and terminates when it is idle.

    ``code`` is the folder of the jobs' code, which holds the bootstrap action as well.
    """
    emr = settings.emr
    request: dict[str, Any] = {
        "Name": name,
        "ReleaseLabel": emr.release,
        "LogUri": emr.log_uri,
        "Applications": [{"Name": "Spark"}],
        "Instances": {
            "InstanceFleets": [_master(emr), _core(emr), _task(emr)],
            # EMR chooses the subnet, and so the zone, that has the instance types of the fleets
            "Ec2SubnetIds": list(emr.subnet_ids),
            "KeepJobFlowAliveWhenNoSteps": True,
            "TerminationProtected": False,
        },
        "ManagedScalingPolicy": {"ComputeLimits": _limits(emr)},
        "Configurations": _configurations(emr),
        "BootstrapActions": _bootstrap(emr, code),
        "AutoTerminationPolicy": {"IdleTimeout": emr.idle_timeout_seconds},
        "StepConcurrencyLevel": 1,
        "ServiceRole": settings.roles.emr_service,
        "JobFlowRole": settings.roles.emr_instance_profile,
        "VisibleToAllUsers": True,
        "Tags": [{"Key": key, "Value": value} for key, value in settings.tags.items()],
    }
    # it shows whether a running cluster was started with the same settings
    request["Tags"].append({"Key": _REQUEST_TAG, "Value": content_hash(canonical_json(request))})
    return request


def _master(emr: EmrSettings) -> dict[str, Any]:
    return _fleet("MASTER", emr.master_instance_types, TargetOnDemandCapacity=1)


def _core(emr: EmrSettings) -> dict[str, Any]:
    """Build the core fleet, on demand: its nodes hold HDFS and the application masters."""
    return _fleet("CORE", emr.core_instance_types, TargetOnDemandCapacity=emr.core_units)


def _task(emr: EmrSettings) -> dict[str, Any]:
    """Build the task fleet of spot instances, from pools that are cheap and rarely interrupted.

    At the start, on-demand instances replace spot capacity that is not available in time. Scaling later adds
    only the spot capacity that it gets.
    """
    spot = {
        "AllocationStrategy": "price-capacity-optimized",
        "TimeoutDurationMinutes": emr.spot_timeout_minutes,
    }
    fleet = _fleet("TASK", emr.task_instance_types, TargetSpotCapacity=emr.task_units)
    at_start = spot | {"TimeoutAction": "SWITCH_TO_ON_DEMAND"}
    fleet["LaunchSpecifications"]["SpotSpecification"] = at_start
    fleet["ResizeSpecifications"] = {"SpotResizeSpecification": spot}
    return fleet


def _fleet(role: str, types: Sequence[str], **target: int) -> dict[str, Any]:
    return {
        "Name": role.lower(),
        "InstanceFleetType": role,
        **target,
        # of one size: a unit is an instance; those on demand are tried in the order of the settings
        "InstanceTypeConfigs": [
            {"InstanceType": kind, "WeightedCapacity": 1, "Priority": float(priority)}
            for priority, kind in enumerate(types)
        ],
        "LaunchSpecifications": {"OnDemandSpecification": {"AllocationStrategy": "prioritized"}},
    }


def _limits(emr: EmrSettings) -> dict[str, Any]:
    """Build the limits of managed scaling. It changes the number of spot task nodes only."""
    return {
        "UnitType": "InstanceFleetUnits",
        "MinimumCapacityUnits": emr.core_units,
        "MaximumCapacityUnits": emr.maximum_units,
        "MaximumCoreCapacityUnits": emr.core_units,
        "MaximumOnDemandCapacityUnits": emr.core_units,
    }


def _configurations(emr: EmrSettings) -> Sequence[dict[str, Any]]:
    return [
        {"Classification": "yarn-site", "Properties": dict(_YARN)},
        {"Classification": "spark-defaults", "Properties": _DECOMMISSIONING | emr.spark_properties},
    ]


def _bootstrap(emr: EmrSettings, code: S3Uri) -> list[dict[str, Any]]:
    if not emr.python_archive:
        return []
    script = {"Path": str(code / EMR_BOOTSTRAP), "Args": [emr.python_archive]}
    return [{"Name": "python environment", "ScriptBootstrapAction": script}]


def living_clusters(emr: Any, name: str, *, or_ending: bool = False) -> list[str]:
    """Return the ids of the clusters of this name that take steps or will take them.

    They are two if the answer to RunJobFlow was lost and the call sent again: it takes no client token.

    :param or_ending: include clusters that are terminating, whose steps may still write
    """
    states = [state for state, is_alive in CLUSTER_STATES.items() if is_alive]
    states += ["TERMINATING"] if or_ending else []
    pages = emr.get_paginator("list_clusters").paginate(ClusterStates=states)
    clusters = (cluster for page in pages for cluster in page["Clusters"])
    return [str(cluster["Id"]) for cluster in clusters if cluster["Name"] == name]


def end_clusters(emr: Any, name: str) -> list[str]:
    """Request the termination of every living cluster of this name, and return their ids."""
    living = living_clusters(emr, name)
    for cluster in living:
        emr.terminate_job_flows(JobFlowIds=[cluster])
    return living


def is_started_by(emr: Any, cluster_id: str, request: dict[str, Any]) -> bool:
    """Return True if a cluster was started by exactly this request of ``cluster_request``."""
    found = emr.describe_cluster(ClusterId=cluster_id)["Cluster"].get("Tags", ())
    tags = {tag["Key"]: tag["Value"] for tag in found}
    wanted = {tag["Key"]: tag["Value"] for tag in request["Tags"]}
    return bool(tags.get(_REQUEST_TAG) == wanted[_REQUEST_TAG])
