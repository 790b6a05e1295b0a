"""Clusters: created, listed, inactive once they are deleted, and created again."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError


def test_clusters_are_listed_in_pages_and_show_tags_when_asked(shared_local_aws: Any) -> None:
    ecs, tags = shared_local_aws.client("ecs"), [{"key": "team", "value": "llm"}]
    made = [ecs.create_cluster(clusterName=f"page-{n}", tags=tags)["cluster"]["clusterArn"] for n in range(3)]
    pages = list(ecs.get_paginator("list_clusters").paginate(PaginationConfig={"PageSize": 2}))
    assert all(len(page["clusterArns"]) <= 2 for page in pages)
    found = [arn for page in pages for arn in page["clusterArns"]]
    assert len(found) == len(set(found)) and set(made) <= set(found)
    with pytest.raises(ClientError, match="maxResults must be between 1 and 100"):
        ecs.list_clusters(maxResults=101)
    assert "tags" not in ecs.describe_clusters(clusters=["page-0"])["clusters"][0]
    assert ecs.describe_clusters(clusters=["page-0"], include=["TAGS"])["clusters"][0]["tags"] == tags


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
