"""EMR on EC2: the request of a cluster by instance fleets, and Spark steps on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from botocore.exceptions import ClientError

from include.aws.job_states import JobState, JobView
from include.contracts.artifacts import EMR_BOOTSTRAP, SPARK_ARCHIVE
from include.contracts.errors import InputError
from include.contracts.storage import S3Uri
from include.settings import Settings
from include.settings.spark import EmrSettings

#: Application masters go to core nodes, which are on demand: a spot node that is taken away, or a task node
#: that scaling takes back, ends no application. EMR 6 and later leave node labels off unless told.
_YARN = {
    "yarn.node-labels.enabled": "true",
    "yarn.node-labels.am.default-node-label-expression": "CORE",
}
#: A node that is about to go gets no new tasks, and the loss of its shuffle files counts as no failed
#: attempt of the stage (EMR's own properties for YARN; Spark's ``spark.decommission`` is not for YARN here).
_DECOMMISSIONING = {
    "spark.blacklist.decommissioning.enabled": "true",
    "spark.blacklist.decommissioning.timeout": "1h",
    "spark.stage.attempt.ignoreOnDecommissionFetchFailure": "true",
    "spark.resourceManager.cleanupExpiredHost": "true",
}
#: Where containers find the unpacked archive, beside their working folder …
_IN_CONTAINERS = "./environment/bin/python"
#: … and where the bootstrap action puts it for the driver, which in client mode runs on the master node.
_ON_MASTER = "/opt/nexus/environment/bin/python"

_CLUSTER_ALIVE = ["STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING"]
_CLUSTER_OVER = ("TERMINATING", "TERMINATED", "TERMINATED_WITH_ERRORS")
_START_AGAIN = (
    "mend what ended it, then clear start_engine with Downstream: that starts a cluster by the settings as "
    "they are then, and whole stages are kept"
)
EMR_STEP_STATES = {
    "PENDING": JobState.ACTIVE,
    "RUNNING": JobState.ACTIVE,
    "CANCEL_PENDING": JobState.STOPPING,
    "COMPLETED": JobState.COMPLETED,
    "CANCELLED": JobState.STOPPED,
    "FAILED": JobState.FAILED,
    "INTERRUPTED": JobState.FAILED,
}


def cluster_request(settings: Settings, name: str, code: S3Uri) -> dict[str, Any]:
    """RunJobFlow for one corpus: it waits for steps, and ends by itself when it is forgotten.

    ``code`` is the folder of the jobs' code, which holds the bootstrap action as well.
    """
    emr = settings.emr
    return {
        "Name": name,
        "ReleaseLabel": emr.release,
        "LogUri": emr.log_uri,
        "Applications": [{"Name": "Spark"}],
        "Instances": {
            "InstanceFleets": [_master(emr), _core(emr), _task(emr)],
            # EMR chooses the subnet, hence the zone, where the fleets' types are to be had
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
        "Tags": [{"Key": "project", "Value": "nexus-llm"}],
    }


def spark_step(job: str, code: S3Uri, request: S3Uri, python_archive: str = "") -> dict[str, Any]:
    """One entry of AddJobFlowSteps, but for its name: spark-submit of ``<code>/jobs/<job>.py``.

    CONTINUE keeps the cluster for a retry; the teardown ends it whatever happens. Client mode makes the
    driver the step's own process: cancelling the step ends the application, and its output is the step's log.
    ``python_archive`` is a packed environment in S3; empty takes the cluster's Python.
    """
    python = []
    if python_archive:
        python = ["--archives", f"{python_archive}#environment"]
        python += ["--conf", f"spark.pyspark.python={_IN_CONTAINERS}"]
        python += ["--conf", f"spark.pyspark.driver.python={_ON_MASTER}"]
    return {
        "ActionOnFailure": "CONTINUE",
        "HadoopJarStep": {
            "Jar": "command-runner.jar",
            "Args": [
                "spark-submit",
                "--deploy-mode",
                "client",
                *python,
                "--py-files",
                str(code / SPARK_ARCHIVE),
                str(code / f"jobs/{job}.py"),
                "--request",
                str(request),
            ],
        },
    }


def _master(emr: EmrSettings) -> dict[str, Any]:
    return _fleet("MASTER", emr.master_instance_types, TargetOnDemandCapacity=1)


def _core(emr: EmrSettings) -> dict[str, Any]:
    """On demand: core nodes hold HDFS and the application masters."""
    return _fleet("CORE", emr.core_instance_types, TargetOnDemandCapacity=emr.core_units)


def _task(emr: EmrSettings) -> dict[str, Any]:
    """Spot from the pools that are cheap and seldom interrupted, at the start and whenever scaling adds.

    At the start, on demand where there is none in time; scaling does without what it does not get.
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
            {"InstanceType": kind, "WeightedCapacity": 1, "Priority": float(place)}
            for place, kind in enumerate(types)
        ],
        "LaunchSpecifications": {"OnDemandSpecification": {"AllocationStrategy": "prioritized"}},
    }


def _limits(emr: EmrSettings) -> dict[str, Any]:
    """Bounds of core and task nodes together. Core stays as it is: what scaling adds is task, and spot."""
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


def living_cluster(emr: Any, name: str) -> str | None:
    """Id of the cluster of this name that takes steps, or will."""
    pages = emr.get_paginator("list_clusters").paginate(ClusterStates=_CLUSTER_ALIVE)
    clusters = (cluster for page in pages for cluster in page["Clusters"])
    return next((str(cluster["Id"]) for cluster in clusters if cluster["Name"] == name), None)


class EmrSteps:
    """The steps of one cluster, known by their names."""

    def __init__(self, emr: Any, cluster_id: str) -> None:
        self._emr = emr
        self._cluster = cluster_id

    def describe(self, name: str) -> JobView:
        """See Jobs. A step that ended with its cluster has the cluster's reason."""
        step_id = self._find(name)
        if step_id is None:
            return JobView(JobState.ABSENT, log_prefix=f"{self._cluster}/steps/")
        step = self._step(step_id)
        state = EMR_STEP_STATES[step["Status"]["State"]]
        reason, prefix = _step_reason(step["Status"]), f"{self._cluster}/steps/{step_id}/"
        if state in (JobState.FAILED, JobState.STOPPED) and (ended := self._end_of_cluster()):
            # the step may never have run: the nodes' logs, of bootstrap actions too, are the cluster's
            reason = f"{reason}; {ended}" if reason else ended
            return JobView(state, reason, f"{self._cluster}/", step, _START_AGAIN)
        return JobView(state, reason, prefix, step)

    def submit(self, name: str, request: dict[str, Any]) -> None:
        """See Jobs. EMR lets steps share a name, so it is asked first.

        InputError when the cluster is over: no retry brings it back.
        """
        if self._find(name) is not None:
            return
        try:
            self._emr.add_job_flow_steps(JobFlowId=self._cluster, Steps=[{**request, "Name": name}])
        except ClientError as error:
            if not (ended := self._end_of_cluster()):
                raise
            raise InputError(
                "the run's cluster is over",
                where=name,
                expected="a cluster that takes steps",
                got=ended,
                remedy=_START_AGAIN,
            ) from error

    def stop(self, name: str) -> None:
        """See Jobs."""
        step_id = self._find(name)
        if step_id is None:
            return
        if EMR_STEP_STATES[self._step(step_id)["Status"]["State"]] is JobState.ACTIVE:
            self._emr.cancel_steps(
                ClusterId=self._cluster, StepIds=[step_id], StepCancellationOption="SEND_INTERRUPT"
            )

    def _step(self, step_id: str) -> dict[str, Any]:
        return dict(self._emr.describe_step(ClusterId=self._cluster, StepId=step_id)["Step"])

    def _end_of_cluster(self) -> str:
        """How the cluster came to its end; empty while it lives."""
        status = self._emr.describe_cluster(ClusterId=self._cluster)["Cluster"]["Status"]
        if status["State"] not in _CLUSTER_OVER:
            return ""
        why = [status.get("StateChangeReason", {}).get("Message", "")]
        for detail in status.get("ErrorDetails", ()):
            data = [value for entry in detail.get("ErrorData", ()) for value in entry.values()]
            why += [detail.get("ErrorMessage", ""), f"({', '.join(data)})" if data else ""]
        known = " ".join(part for part in why if part) or "no reason given"
        return f"cluster {self._cluster} is {status['State']}: {known}"

    def _find(self, name: str) -> str | None:
        for page in self._emr.get_paginator("list_steps").paginate(ClusterId=self._cluster):
            for step in page["Steps"]:  # newest first
                if step["Name"] == name:
                    return str(step["Id"])
        return None


def _step_reason(status: dict[str, Any]) -> str:
    details = status.get("FailureDetails", {})
    reason = details.get("Message") or details.get("Reason") or ""
    reason = reason or status.get("StateChangeReason", {}).get("Message", "")
    return f"{reason} (log: {details['LogFile']})" if details.get("LogFile") else str(reason)
