"""Clusters: created, listed, inactive once they are deleted, and created again."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError


def test_a_deleted_cluster_is_inactive_until_it_is_created_again(shared_local_aws: Any) -> None:
    ecs = shared_local_aws.client("ecs")

    def status() -> str:
        return str(ecs.describe_clusters(clusters=["short-lived"])["clusters"][0]["status"])

    arn = ecs.create_cluster(clusterName="short-lived")["cluster"]["clusterArn"]
    assert status() == "ACTIVE" and arn in ecs.list_clusters()["clusterArns"]
    assert ecs.delete_cluster(cluster="short-lived")["cluster"]["status"] == "INACTIVE"
    assert status() == "INACTIVE" and arn not in ecs.list_clusters()["clusterArns"]
    with pytest.raises(ClientError, match="ClusterNotFoundException"):
        ecs.list_services(cluster="short-lived")
    with pytest.raises(ClientError, match="ClusterNotFoundException"):
        ecs.delete_cluster(cluster="short-lived")
    ecs.create_cluster(clusterName="short-lived")
    assert status() == "ACTIVE"
    assert ecs.describe_clusters(clusters=["never"])["failures"][0]["reason"] == "MISSING"
