"""Clusters that EMR would refuse, or that would not be as requested, are refused before they start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local_aws.emr.conftest import GROUPS

MASTER, CORE = GROUPS
FEW: dict[str, Any] = {"InstanceCount": 0}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ReleaseLabel": "latest"}, "ValidationException.*release label is invalid"),
        ({"StepConcurrencyLevel": 257}, "StepConcurrencyLevel"),
        ({"Instances": {"InstanceGroups": [CORE]}}, "ValidationException.*master"),
        ({"Instances": {"InstanceGroups": [MASTER, MASTER]}}, "ValidationException.*master"),
        ({"Instances": {"InstanceGroups": [MASTER, CORE | FEW]}}, "ValidationException.*InstanceCount"),
        ({"AmiVersion": "3.11"}, "NotImplemented.*AmiVersion"),
        ({"CustomAmiId": "ami-1"}, "NotImplemented.*CustomAmiId"),
        ({"KerberosAttributes": {"Realm": "R", "KdcAdminPassword": "p"}}, "NotImplemented.*Kerberos"),
    ],
)
def test_a_cluster_that_would_not_be_as_requested_is_refused(
    emr: Any, change: dict[str, Any], said: str
) -> None:
    before = len(emr.list_clusters()["Clusters"])
    request = {"Name": "n", "ReleaseLabel": "emr-7.12.0", "Instances": {"InstanceGroups": GROUPS}}
    with pytest.raises(ClientError, match=said):
        emr.run_job_flow(**{**request, **change})
    assert len(emr.list_clusters()["Clusters"]) == before


def test_a_running_cluster_keeps_its_limits(
    emr: Any, cluster: Callable[..., str], step: Callable[..., dict[str, Any]]
) -> None:
    made = cluster()
    with pytest.raises(ClientError, match="StepConcurrencyLevel"):
        emr.modify_cluster(ClusterId=made, StepConcurrencyLevel=257)
    with pytest.raises(ClientError, match="At most 256 steps"):
        emr.add_job_flow_steps(JobFlowId=made, Steps=[step("s", "true")] * 257)
    assert emr.list_steps(ClusterId=made)["Steps"] == []
    emr.modify_cluster(ClusterId=made, StepConcurrencyLevel=2)
    assert emr.describe_cluster(ClusterId=made)["Cluster"]["StepConcurrencyLevel"] == 2


@pytest.mark.parametrize("operation", ["list_clusters", "list_security_configurations"])
def test_a_marker_that_was_not_given_out_is_refused(emr: Any, operation: str) -> None:
    with pytest.raises(ClientError, match=r"ValidationException.*token"):
        getattr(emr, operation)(Marker="zzz")


@pytest.mark.parametrize("name", ["", " "])
def test_a_security_configuration_without_a_name_is_refused(emr: Any, name: str) -> None:
    with pytest.raises(ClientError, match=r"InvalidRequestException.*name"):
        emr.create_security_configuration(Name=name, SecurityConfiguration="{}")
