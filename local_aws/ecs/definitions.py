"""Clusters and task definitions."""

from __future__ import annotations

import time
from typing import Any

from local_aws.ecs.names import CLUSTER, DEFINITION, SERVICE, TASK, arn, client_error, invalid, short
from local_aws.ecs.views import listed, shown
from local_aws.errors import AwsError
from local_aws.front_door.operations import Handler
from local_aws.resources import Resource, ResourceTable

_DEFINITION_MEMBERS = (
    "family", "taskRoleArn", "executionRoleArn", "networkMode", "volumes", "placementConstraints",
    "requiresCompatibilities", "cpu", "memory", "runtimePlatform", "ephemeralStorage",
)  # fmt: skip


class Definitions:
    """The operations on clusters and task definitions. A registered definition never changes."""

    def __init__(self, table: ResourceTable) -> None:
        self._table = table

    def handlers(self) -> dict[str, Handler]:
        """Return the handlers by operation name."""
        return {
            "CreateCluster": self.create_cluster,
            "DescribeClusters": self.describe_clusters,
            "ListClusters": self.list_clusters,
            "DeleteCluster": self.delete_cluster,
            "RegisterTaskDefinition": self.register,
            "DescribeTaskDefinition": self.describe,
            "DeregisterTaskDefinition": self.deregister,
            "ListTaskDefinitions": self.list,
        }

    def create_cluster(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request.get("clusterName", "default")
        if not self._table.insert(Resource(CLUSTER, name, "ACTIVE", request)):
            with self._table.editing(CLUSTER, name) as row:
                if row.state == "INACTIVE":  # a deleted cluster may be created again
                    row.state, row.request = "ACTIVE", request
        return {"cluster": self._cluster_view(self.cluster(name))}

    def cluster(self, name_or_arn: str | None) -> Resource:
        """Return a cluster. Raises ClusterNotFoundException if it does not exist."""
        row = self._table.get(CLUSTER, short(name_or_arn or "default"))
        if row is None or row.state == "INACTIVE":
            raise AwsError("ClusterNotFoundException", "Cluster not found.")
        return row

    def describe_clusters(self, request: dict[str, Any]) -> dict[str, Any]:
        found, failures = [], []
        for name in request.get("clusters", ["default"]):
            row = self._table.get(CLUSTER, short(name))
            if row is None:
                failures.append({"arn": arn(f"cluster/{short(name)}"), "reason": "MISSING"})
            else:
                found.append(self._cluster_view(row))
        return {"clusters": shown(found, request), "failures": failures}

    def list_clusters(self, request: dict[str, Any]) -> dict[str, Any]:
        names = [row.name for row in self._table.list(CLUSTER) if row.state == "ACTIVE"]
        return listed("clusterArns", [arn(f"cluster/{name}") for name in names], request)

    def delete_cluster(self, request: dict[str, Any]) -> dict[str, Any]:
        row = self.cluster(request["cluster"])
        if any(s.state == "ACTIVE" for s in self._table.list(SERVICE) if s.name.startswith(row.name + "/")):
            raise AwsError(
                "ClusterContainsServicesException", "The Cluster cannot be deleted while Services are active."
            )
        # waiters look for a deleted cluster and expect it to be INACTIVE
        with self._table.editing(CLUSTER, row.name) as row:
            row.state = "INACTIVE"
        return {"cluster": self._cluster_view(row)}

    def register(self, request: dict[str, Any]) -> dict[str, Any]:
        _check_containers(request.get("containerDefinitions", []))
        family = request["family"]
        revision = 1 + max(
            (row.detail["revision"] for row in self._table.list(DEFINITION, family)), default=0
        )
        row = Resource(
            DEFINITION, f"{family}:{revision}", "ACTIVE", request, {"revision": revision}, parent=family
        )
        self._table.insert(row)
        return {"taskDefinition": _definition_view(row)} | (
            {"tags": request["tags"]} if request.get("tags") else {}
        )

    def definition(self, name_or_arn: str) -> Resource:
        """Return a definition by its family (newest active revision), family:revision or ARN."""
        name = short(name_or_arn)
        if ":" in name:
            row = self._table.get(DEFINITION, name)
        else:
            active = [r for r in self._table.list(DEFINITION, name) if r.state == "ACTIVE"]
            row = active[-1] if active else None
        if row is None:
            raise client_error("Unable to describe task definition.")
        return row

    def describe(self, request: dict[str, Any]) -> dict[str, Any]:
        row = self.definition(request["taskDefinition"])
        tags = row.request.get("tags", []) if "TAGS" in request.get("include", []) else []
        return {"taskDefinition": _definition_view(row)} | ({"tags": tags} if tags else {})

    def deregister(self, request: dict[str, Any]) -> dict[str, Any]:
        if ":" not in short(request["taskDefinition"]):
            raise invalid(f"Revision is missing in {request['taskDefinition']!r}; use family:revision")
        name = self.definition(request["taskDefinition"]).name
        with self._table.editing(DEFINITION, name) as row:
            row.state = "INACTIVE"
            row.detail["deregistered"] = time.time()
            return {"taskDefinition": _definition_view(row)}

    def list(self, request: dict[str, Any]) -> dict[str, Any]:
        status, prefix = request.get("status", "ACTIVE"), request.get("familyPrefix")
        names = [r.name for r in self._table.list(DEFINITION, prefix) if r.state == status]
        names = names[::-1] if request.get("sort") == "DESC" else names
        return listed("taskDefinitionArns", [arn(f"task-definition/{name}") for name in names], request)

    def _cluster_view(self, row: Resource) -> dict[str, Any]:
        services = [s for s in self._table.list(SERVICE) if s.name.startswith(row.name + "/")]
        tasks = [t for t in self._table.list(TASK) if t.detail["cluster"] == row.name]
        return {
            "clusterArn": arn(f"cluster/{row.name}"),
            "clusterName": row.name,
            "status": row.state,
            "registeredContainerInstancesCount": 0,
            "runningTasksCount": sum(t.state == "RUNNING" for t in tasks),
            "pendingTasksCount": sum(t.state in ("PROVISIONING", "PENDING") for t in tasks),
            "activeServicesCount": sum(s.state == "ACTIVE" for s in services),
            "capacityProviders": row.request.get("capacityProviders", []),
            "settings": row.request.get("settings", []),
            "tags": row.request.get("tags", []),
        }


def _definition_view(row: Resource) -> dict[str, Any]:
    containers = []
    for container in row.request["containerDefinitions"]:
        defaults = {"cpu": 0, "environment": [], "mountPoints": [], "volumesFrom": [], "essential": True}
        containers.append({**defaults, **container})
    view = {m: row.request[m] for m in _DEFINITION_MEMBERS if m in row.request}
    view |= {
        "taskDefinitionArn": arn(f"task-definition/{row.name}"),
        "containerDefinitions": containers,
        "revision": row.detail["revision"],
        "status": row.state,
        "compatibilities": ["EC2", "FARGATE"],
        "registeredAt": row.created,
    }
    return view | ({"deregisteredAt": row.detail["deregistered"]} if "deregistered" in row.detail else {})


def _check_containers(containers: list[dict[str, Any]]) -> None:
    if not containers:
        raise client_error("Container list cannot be empty.")
    if not any(container.get("essential", True) for container in containers):
        raise client_error("Invalid setting: at least one container must be essential.")
    for container in containers:
        if not container.get("image"):
            raise client_error("Container.image should not be null or empty.")
        if container.get("secrets"):
            raise AwsError(
                "NotImplemented",
                f"local_aws: secrets of container {container.get('name')} are not injected",
                501,
            )
