"""The Model Registry: versions, approval, metadata, deletion."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

SPECIFICATION = {
    "Containers": [{"Image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/nexus-llm-serving:latest"}],
    "SupportedContentTypes": ["application/json"],
    "SupportedResponseMIMETypes": ["application/json"],
}


@pytest.fixture
def group(sagemaker: Any, request: pytest.FixtureRequest) -> str:
    name = f"group-{abs(hash(request.node.name)) % 10**8}"
    sagemaker.create_model_package_group(ModelPackageGroupName=name, ModelPackageGroupDescription="models")
    return name


def register(client: Any, group: str, **metadata: str) -> str:
    arn: str = client.create_model_package(
        ModelPackageGroupName=group, InferenceSpecification=SPECIFICATION, CustomerMetadataProperties=metadata
    )["ModelPackageArn"]
    return arn


def test_the_champion_is_the_newest_approved_version(sagemaker: Any, group: str) -> None:
    first, second, third = (register(sagemaker, group, n=str(n)) for n in range(3))
    for arn in (first, second):
        sagemaker.update_model_package(
            ModelPackageArn=arn, ModelApprovalStatus="Approved", ApprovalDescription="ok"
        )
    approved = sagemaker.list_model_packages(
        ModelPackageGroupName=group,
        ModelApprovalStatus="Approved",
        SortBy="CreationTime",
        SortOrder="Descending",
    )["ModelPackageSummaryList"]
    assert [package["ModelPackageVersion"] for package in approved] == [2, 1]
    pending = sagemaker.describe_model_package(ModelPackageName=third)
    assert pending["ModelApprovalStatus"] == "PendingManualApproval"
    assert pending["CustomerMetadataProperties"] == {"n": "2"}


def test_packages_are_listed_by_the_time_of_their_creation(sagemaker: Any, group: str) -> None:
    arns = [register(sagemaker, group) for _ in range(3)]
    times = [sagemaker.describe_model_package(ModelPackageName=arn)["CreationTime"] for arn in arns]

    def listed(**bounds: Any) -> list[str]:
        names = {"ModelPackageGroupName": group, "SortBy": "CreationTime", "SortOrder": "Ascending"}
        found = sagemaker.list_model_packages(**names, **bounds)["ModelPackageSummaryList"]
        return [package["ModelPackageArn"] for package in found]

    instant = timedelta(milliseconds=1)
    assert listed(CreationTimeAfter=times[0] + instant) == arns[1:]
    assert listed(CreationTimeBefore=times[2] - instant) == arns[:2]
    assert listed(CreationTimeAfter=times[0] + instant, CreationTimeBefore=times[2] - instant) == arns[1:2]
    assert listed(CreationTimeAfter=times[2] + instant) == []
    assert listed(ModelPackageType="Versioned") == arns
    assert listed(ModelPackageType="Unversioned") == []


def test_a_repeated_call_with_one_token_creates_one_package(sagemaker: Any, group: str) -> None:
    request = {"ModelPackageGroupName": group, "InferenceSpecification": SPECIFICATION}
    first, again, other = (
        sagemaker.create_model_package(**request, ClientToken=token)["ModelPackageArn"]
        for token in ("a", "a", "b")
    )
    assert first == again != other


def test_a_version_number_is_not_used_twice(sagemaker: Any, group: str) -> None:
    sagemaker.delete_model_package(ModelPackageName=register(sagemaker, group))
    assert register(sagemaker, group).endswith(f"{group}/2")


def test_a_group_can_be_deleted_only_when_empty(sagemaker: Any, group: str) -> None:
    arn = register(sagemaker, group)
    with pytest.raises(ClientError, match="not empty"):
        sagemaker.delete_model_package_group(ModelPackageGroupName=group)
    sagemaker.delete_model_package(ModelPackageName=arn)
    sagemaker.delete_model_package_group(ModelPackageGroupName=group)
    with pytest.raises(ClientError, match="does not exist"):
        sagemaker.describe_model_package_group(ModelPackageGroupName=group)


def test_many_packages_are_described_at_once(sagemaker: Any, group: str) -> None:
    arn = register(sagemaker, group)
    answer = sagemaker.batch_describe_model_package(ModelPackageArnList=[arn, arn + "9"])
    assert list(answer["ModelPackageSummaries"]) == [arn]
    assert list(answer["BatchDescribeModelPackageErrorMap"]) == [arn + "9"]


def test_groups_are_listed_and_described(sagemaker: Any, group: str) -> None:
    names = [
        entry["ModelPackageGroupName"]
        for entry in sagemaker.list_model_package_groups(NameContains=group)["ModelPackageGroupSummaryList"]
    ]
    assert names == [group]
    created = sagemaker.describe_model_package_group(ModelPackageGroupName=group)["CreationTime"]
    later = {"NameContains": group, "CreationTimeAfter": created + timedelta(seconds=1)}
    assert sagemaker.list_model_package_groups(**later)["ModelPackageGroupSummaryList"] == []
    described = sagemaker.describe_model_package_group(ModelPackageGroupName=group)
    assert described["ModelPackageGroupDescription"] == "models"
