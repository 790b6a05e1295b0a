"""The counts that the Describe calls of ECS give, from rows of the table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local_aws.ecs.definitions import Definitions
from local_aws.ecs.names import CLUSTER, DEPLOYMENT, SERVICE, TASK
from local_aws.ecs.views import deployment_view, service_view
from local_aws.resources import Resource, ResourceTable

NAME = "prod/web"
#: State of a task, its revision, and whether its health checks passed.
TASKS = [
    ("PENDING", "old", False),
    ("RUNNING", "old", False),
    ("RUNNING", "old", True),
    ("STOPPED", "old", True),
    ("PROVISIONING", "new", False),
    ("RUNNING", "new", False),
    ("RUNNING", "new", False),
    ("RUNNING", "new", True),
    ("DEACTIVATING", "new", True),
]


@pytest.fixture
def table(tmp_path: Path) -> Iterator[ResourceTable]:
    made = ResourceTable(tmp_path / "jobs.sqlite")
    for number, (state, revision, healthy) in enumerate(TASKS):
        detail = {"revision": revision, "healthy": healthy, "cluster": "prod"}
        made.insert(Resource(TASK, f"task/{number}", state, detail=detail, parent=NAME))
    yield made
    made.close()


def entry(revision: str, status: str, state: str) -> dict[str, Any]:
    return {
        "id": revision, "revision": revision, "status": status, "taskDefinition": f"web:{revision}",
        "failedTasks": 2, "createdAt": 1.0, "updatedAt": 2.0, "rolloutState": state,
        "rolloutStateReason": "",
    }  # fmt: skip


def test_only_healthy_tasks_count_as_running_in_a_deployment(table: ResourceTable) -> None:
    deployments = [
        entry("new", "PRIMARY", "IN_PROGRESS"),
        entry("old", "ACTIVE", "COMPLETED") | {"wanted": 3},
    ]
    request = {"serviceName": "web", "taskDefinition": "web:2", "desiredCount": 5}
    detail = {"cluster": "prod", "deployments": deployments, "events": list(range(120))}
    view = service_view(table, Resource(SERVICE, NAME, "ACTIVE", request, detail))
    counts = [(d["desiredCount"], d["pendingCount"], d["runningCount"]) for d in view["deployments"]]
    assert counts == [(5, 3, 1), (3, 1, 2)]
    assert (view["desiredCount"], view["pendingCount"], view["runningCount"]) == (5, 4, 3)
    assert view["events"] == list(range(119, 19, -1))  # the newest hundred


def test_a_deployment_counts_the_tasks_of_each_revision(table: ResourceTable) -> None:
    detail = {
        "target": "new", "sources": ["old"], "desired": 5, "configuration": {}, "breaker": "DISABLED",
        "failures": 1, "threshold": 3, "started": 10.0,
    }  # fmt: skip
    row = Resource(DEPLOYMENT, "deployment", "IN_PROGRESS", detail=detail, parent=NAME)
    view = deployment_view(table, row)
    revisions = [view["targetServiceRevision"], *view["sourceServiceRevisions"]]
    members = ("arn", "requestedTaskCount", "runningTaskCount", "pendingTaskCount")
    assert [tuple(one[m] for m in members) for one in revisions] == [("new", 5, 3, 1), ("old", 0, 2, 1)]
    assert view["startedAt"] == 10.0 and "finishedAt" not in view
    assert view["deploymentCircuitBreaker"] == {"status": "DISABLED", "failureCount": 1, "threshold": 3}


def test_a_cluster_counts_its_tasks_and_active_services(table: ResourceTable) -> None:
    table.insert(Resource(CLUSTER, "prod", "ACTIVE"))
    table.insert(Resource(CLUSTER, "other", "ACTIVE"))
    for name, state in (
        ("prod/a", "ACTIVE"),
        ("prod/b", "ACTIVE"),
        ("prod/c", "INACTIVE"),
        ("prod/d", "DRAINING"),
    ):
        table.insert(Resource(SERVICE, name, state))
    members = ("runningTasksCount", "pendingTasksCount", "activeServicesCount")
    answer = Definitions(table).describe_clusters({"clusters": ["prod", "other"]})
    counts = {c["clusterName"]: tuple(c[m] for m in members) for c in answer["clusters"]}
    assert counts == {"prod": (5, 2, 2), "other": (0, 0, 0)}
