"""The operations of EMR on clusters and steps, which read and write the resource table."""

from __future__ import annotations

import math
import re
import secrets
import string
from collections.abc import Callable
from typing import Any

from local_aws.emr.instances import (
    check_instances,
    check_release,
    check_scaling,
    fleet_views,
    group_views,
    instance_views,
)
from local_aws.emr.security import check_security_configuration
from local_aws.emr.states import ACTIVE_CLUSTER, CLUSTER, PENDING_STEP, STEP, end_cluster, end_step
from local_aws.emr.views import bootstrap_views, cluster_arn, cluster_view, step_view
from local_aws.errors import AwsError
from local_aws.front_door.operations import Handler
from local_aws.pagination import page_of
from local_aws.resources import Resource, ResourceTable

_LETTERS = string.ascii_uppercase + string.digits
_PAGE = 50
#: Earlier releases cancel pending steps only.
_FIRST_RELEASE_THAT_CANCELS_RUNNING = (5, 28)
_MAX_STEPS = 256


class EmrOperations:
    """The operations of EMR. ``StepRunner`` runs the steps."""

    def __init__(self, table: ResourceTable) -> None:
        self._table = table

    def handlers(self) -> dict[str, Handler]:
        """Return the handlers by operation name."""
        return {
            "RunJobFlow": self.run_job_flow,
            "DescribeCluster": self.describe_cluster,
            "ListClusters": self.list_clusters,
            "TerminateJobFlows": self.terminate,
            "SetTerminationProtection": self.set_protection,
            "ModifyCluster": self.modify,
            "AddJobFlowSteps": self.add_steps,
            "DescribeStep": self.describe_step,
            "ListSteps": self.list_steps,
            "CancelSteps": self.cancel_steps,
            "ListInstanceGroups": self.list_groups,
            "ListInstanceFleets": self.list_fleets,
            "ListInstances": self.list_instances,
            "ListBootstrapActions": self.list_bootstrap,
            "GetAutoTerminationPolicy": self.get_auto_termination,
            "PutAutoTerminationPolicy": self.put_auto_termination,
            "GetManagedScalingPolicy": self.get_scaling,
            "PutManagedScalingPolicy": self.put_scaling,
            "RemoveManagedScalingPolicy": self.remove_scaling,
            "AddTags": self.add_tags,
        }

    def run_job_flow(self, request: dict[str, Any]) -> dict[str, Any]:
        name = "j-" + _identifier()
        concurrency = _concurrency(request, 1)
        check_release(request)
        instances = request.get("Instances", {})
        check_instances(instances)
        check_security_configuration(self._table, request)
        scaling = request.get("ManagedScalingPolicy")
        if scaling:
            check_scaling(instances, scaling)
        detail = {
            "reason": {},
            "protected": bool(instances.get("TerminationProtected")),
            "concurrency": concurrency,
            "tags": request.get("Tags", []),
            "idle_timeout": request.get("AutoTerminationPolicy", {}).get("IdleTimeout"),
            "scaling": scaling,
        }
        steps = request.get("Steps", [])
        _check_steps(steps)
        self._table.insert(Resource(CLUSTER, name, "STARTING", request, detail))
        self._insert_steps(name, steps)
        return {"JobFlowId": name, "ClusterArn": cluster_arn(name)}

    def describe_cluster(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"Cluster": cluster_view(self._cluster(request["ClusterId"]))}

    def list_clusters(self, request: dict[str, Any]) -> dict[str, Any]:
        states = request.get("ClusterStates")
        after, before = request.get("CreatedAfter", 0.0), request.get("CreatedBefore", math.inf)
        rows = [
            row
            for row in reversed(self._table.list(CLUSTER))
            if (not states or row.state in states) and after <= row.created <= before
        ]
        members = ("Id", "Name", "Status", "NormalizedInstanceHours", "ClusterArn")
        return _page("Clusters", rows, request, lambda row: {m: cluster_view(row)[m] for m in members})

    def terminate(self, request: dict[str, Any]) -> None:
        for name in request["JobFlowIds"]:
            if self._cluster(name).detail["protected"]:
                raise AwsError(
                    "ValidationException",
                    f"Could not shut down one or more job flows since they are termination protected: {name}",
                )
        for name in request["JobFlowIds"]:
            if self._cluster(name).state in ACTIVE_CLUSTER:
                end_cluster(self._table, name, "TERMINATING", "USER_REQUEST", "Terminated by user request")

    def set_protection(self, request: dict[str, Any]) -> None:
        for name in request["JobFlowIds"]:
            self._cluster(name)
            with self._table.editing(CLUSTER, name) as row:
                row.detail["protected"] = bool(request["TerminationProtected"])

    def modify(self, request: dict[str, Any]) -> dict[str, Any]:
        self._cluster(request["ClusterId"])
        with self._table.editing(CLUSTER, request["ClusterId"]) as row:
            row.detail["concurrency"] = _concurrency(request, row.detail["concurrency"])
            return {"StepConcurrencyLevel": row.detail["concurrency"]}

    def add_steps(self, request: dict[str, Any]) -> dict[str, Any]:
        cluster = self._cluster(request["JobFlowId"])
        if cluster.state not in ACTIVE_CLUSTER:
            raise AwsError(
                "ValidationException", f"A job flow that is shutting down may not be modified: {cluster.name}"
            )
        _check_steps(request["Steps"])
        role = {"ExecutionRoleArn": request["ExecutionRoleArn"]} if "ExecutionRoleArn" in request else {}
        steps = [step | role for step in request["Steps"]]
        return {"StepIds": self._insert_steps(cluster.name, steps)}

    def describe_step(self, request: dict[str, Any]) -> dict[str, Any]:
        self._cluster(request["ClusterId"])
        step = self._table.get(STEP, request["StepId"])
        if step is None or step.parent != request["ClusterId"]:
            raise _invalid(f"Step id '{request['StepId']}' is not valid.")
        return {"Step": step_view(step)}

    def list_steps(self, request: dict[str, Any]) -> dict[str, Any]:
        self._cluster(request["ClusterId"])
        states, ids = request.get("StepStates"), request.get("StepIds")
        rows = [
            row
            for row in reversed(self._table.list(STEP, request["ClusterId"]))
            if (not states or row.state in states) and (not ids or row.name in ids)
        ]
        return _page("Steps", rows, request, step_view)

    def cancel_steps(self, request: dict[str, Any]) -> dict[str, Any]:
        cluster = self._cluster(request["ClusterId"])
        answers = []
        for name in request["StepIds"]:
            answer = {"StepId": name, "Status": "SUBMITTED"}
            step = self._table.get(STEP, name)
            if step is None or step.parent != request["ClusterId"]:
                answer |= {"Status": "FAILED", "Reason": "Step id is not valid"}
            elif step.state == PENDING_STEP:
                end_step(self._table, name, "CANCELLED", message="Cancelled by user request")
            elif step.state == "RUNNING" and not _cancels_running(cluster):
                answer |= {"Status": "FAILED", "Reason": "Step is in state RUNNING"}
            elif step.state in ("RUNNING", "CANCEL_PENDING"):
                with self._table.editing(STEP, name) as row:
                    row.state = "CANCEL_PENDING"
                    row.detail["cancel"] = request.get("StepCancellationOption", "SEND_INTERRUPT")
            else:
                answer |= {"Status": "FAILED", "Reason": f"Step is in state {step.state}"}
            answers.append(answer)
        return {"CancelStepsInfoList": answers}

    def list_groups(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"InstanceGroups": group_views(self._cluster(request["ClusterId"]))}

    def list_fleets(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"InstanceFleets": fleet_views(self._cluster(request["ClusterId"]))}

    def list_instances(self, request: dict[str, Any]) -> dict[str, Any]:
        cluster = self._cluster(request["ClusterId"])
        return {"Instances": instance_views(cluster, request)}

    def list_bootstrap(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"BootstrapActions": bootstrap_views(self._cluster(request["ClusterId"]))}

    def get_auto_termination(self, request: dict[str, Any]) -> dict[str, Any]:
        idle = self._cluster(request["ClusterId"]).detail.get("idle_timeout")
        return {"AutoTerminationPolicy": {"IdleTimeout": idle}} if idle else {}

    def put_auto_termination(self, request: dict[str, Any]) -> None:
        self._cluster(request["ClusterId"])
        with self._table.editing(CLUSTER, request["ClusterId"]) as row:
            row.detail["idle_timeout"] = request.get("AutoTerminationPolicy", {}).get("IdleTimeout")

    def get_scaling(self, request: dict[str, Any]) -> dict[str, Any]:
        policy = self._cluster(request["ClusterId"]).detail.get("scaling")
        return {"ManagedScalingPolicy": policy} if policy else {}

    def put_scaling(self, request: dict[str, Any]) -> None:
        cluster = self._cluster(request["ClusterId"])
        check_scaling(cluster.request["Instances"], request["ManagedScalingPolicy"])
        with self._table.editing(CLUSTER, cluster.name) as row:
            row.detail["scaling"] = request["ManagedScalingPolicy"]

    def remove_scaling(self, request: dict[str, Any]) -> None:
        self._cluster(request["ClusterId"])
        with self._table.editing(CLUSTER, request["ClusterId"]) as row:
            row.detail["scaling"] = None

    def add_tags(self, request: dict[str, Any]) -> None:
        self._cluster(request["ResourceId"])
        with self._table.editing(CLUSTER, request["ResourceId"]) as row:
            tags = {t["Key"]: t.get("Value", "") for t in row.detail["tags"] + request["Tags"]}
            row.detail["tags"] = [{"Key": k, "Value": v} for k, v in tags.items()]

    def _cluster(self, name: str) -> Resource:
        row = self._table.get(CLUSTER, name)
        if row is None:
            raise _invalid(f"Cluster id '{name}' is not valid.")
        return row

    def _insert_steps(self, cluster: str, steps: list[dict[str, Any]]) -> list[str]:
        names = []
        for step in steps:
            name = "s-" + _identifier()
            self._table.insert(Resource(STEP, name, PENDING_STEP, step, {}, parent=cluster))
            names.append(name)
        return names


def _concurrency(request: dict[str, Any], default: int) -> int:
    concurrency = int(request.get("StepConcurrencyLevel", default))
    if not 1 <= concurrency <= _MAX_STEPS:
        raise _invalid(f"StepConcurrencyLevel must be between 1 and {_MAX_STEPS}")
    return concurrency


def _check_steps(steps: list[dict[str, Any]]) -> None:
    if len(steps) > _MAX_STEPS:
        raise AwsError(
            "ValidationException", f"At most {_MAX_STEPS} steps can be added at once: {len(steps)}"
        )
    for step in steps:
        jar = step.get("HadoopJarStep", {}).get("Jar", "")
        if jar != "command-runner.jar":
            raise AwsError(
                "ValidationException",
                f"step {step.get('Name')!r}: local_aws runs command-runner.jar only, got {jar!r}",
            )
        if not step["HadoopJarStep"].get("Args"):
            raise AwsError("ValidationException", f"step {step.get('Name')!r}: HadoopJarStep.Args is empty")


def _cancels_running(cluster: Resource) -> bool:
    numbers = re.findall(r"\d+", cluster.request.get("ReleaseLabel", ""))[:2]
    return not numbers or tuple(map(int, numbers)) >= _FIRST_RELEASE_THAT_CANCELS_RUNNING


def _page(
    member: str, rows: list[Resource], request: dict[str, Any], view: Callable[[Resource], dict[str, Any]]
) -> dict[str, Any]:
    page, marker = page_of(rows, request, _PAGE, "Marker")
    return {member: [view(row) for row in page]} | marker


def _identifier() -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(13))


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidRequestException", message)
