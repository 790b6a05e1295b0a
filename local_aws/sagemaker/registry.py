"""The Model Registry: groups of model packages, their versions and approvals."""

from __future__ import annotations

import time
from typing import Any

from local_aws.errors import AwsError
from local_aws.front_door.operations import Handler
from local_aws.pagination import page_of
from local_aws.resources import Resource, ResourceTable
from local_aws.sagemaker.requests import PAGE, arn, check_name, created_within, invalid, named
from local_aws.settings import ACCOUNT

_GROUP, _PACKAGE = "model-package-group", "model-package"
_CREATED_BY = {
    "IamIdentity": {"Arn": f"arn:aws:iam::{ACCOUNT}:user/local", "PrincipalId": "local"},
}
_PACKAGE_MEMBERS = (
    "ModelPackageDescription",
    "InferenceSpecification",
    "SourceAlgorithmSpecification",
    "ValidationSpecification",
    "MetadataProperties",
    "ModelMetrics",
    "Domain",
    "Task",
    "SamplePayloadUrl",
    "CustomerMetadataProperties",
    "DriftCheckBaselines",
    "AdditionalInferenceSpecifications",
    "SkipModelValidation",
    "SourceUri",
    "SecurityConfig",
    "ModelCard",
    "ModelLifeCycle",
)
_SUMMARY = (
    "ModelPackageGroupName",
    "ModelPackageVersion",
    "ModelPackageArn",
    "ModelPackageDescription",
    "CreationTime",
    "ModelPackageStatus",
    "ModelApprovalStatus",
)


class ModelRegistry:
    """The operations on groups of numbered packages. A number is never used twice."""

    def __init__(self, table: ResourceTable) -> None:
        self._table = table

    def handlers(self) -> dict[str, Handler]:
        """Return the handlers by operation name."""
        return {
            "CreateModelPackageGroup": self.create_group,
            "DescribeModelPackageGroup": self.describe_group,
            "ListModelPackageGroups": self.list_groups,
            "DeleteModelPackageGroup": self.delete_group,
            "CreateModelPackage": self.create,
            "DescribeModelPackage": self.describe,
            "ListModelPackages": self.list,
            "UpdateModelPackage": self.update,
            "DeleteModelPackage": self.delete,
            "BatchDescribeModelPackage": self.batch_describe,
        }

    def create_group(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["ModelPackageGroupName"]
        check_name("modelPackageGroupName", name)
        if not self._table.insert(Resource(_GROUP, name, "Completed", request, {"versions": 0})):
            raise invalid(f"Model Package Group already exists: {arn(_GROUP, name)}")
        return {"ModelPackageGroupArn": arn(_GROUP, name)}

    def describe_group(self, request: dict[str, Any]) -> dict[str, Any]:
        group = self._group(request["ModelPackageGroupName"])
        return {**_group_view(group), "CreatedBy": _CREATED_BY}

    def list_groups(self, request: dict[str, Any]) -> dict[str, Any]:
        groups = created_within(named(self._table.list(_GROUP), request), request)
        page, token = page_of(_ordered(groups, request), request, PAGE)
        return {"ModelPackageGroupSummaryList": [_group_view(g) for g in page]} | token

    def delete_group(self, request: dict[str, Any]) -> None:
        group = self._group(request["ModelPackageGroupName"])
        if self._table.list(_PACKAGE, group.name):
            raise AwsError(
                "ConflictException", f"Model Package Group {group.name} cannot be deleted: it is not empty"
            )
        self._table.delete(_GROUP, group.name)

    def create(self, request: dict[str, Any]) -> dict[str, Any]:
        group = request.get("ModelPackageGroupName", "").split("/")[-1]
        if not group:
            raise invalid("local_aws supports versioned packages only: ModelPackageGroupName is required")
        with self._table.lock:
            self._group(group)
            known = next((p for p in self._table.list(_PACKAGE, group) if _is_repeated(p, request)), None)
            return {"ModelPackageArn": known.name if known else self._insert(group, request)}

    def _insert(self, group: str, request: dict[str, Any]) -> str:
        """Add a package under the next number of its group. Return its ARN."""
        with self._table.editing(_GROUP, group) as row:
            row.detail["versions"] += 1
            version = row.detail["versions"]
        detail = {
            "ModelPackageGroupName": group,
            "ModelPackageVersion": version,
            "ModelApprovalStatus": request.get("ModelApprovalStatus", "PendingManualApproval"),
        }
        name = arn(_PACKAGE, f"{group}/{version}")
        self._table.insert(Resource(_PACKAGE, name, "Completed", request, detail, parent=group))
        return name

    def describe(self, request: dict[str, Any]) -> dict[str, Any]:
        return _view(self._package(request["ModelPackageName"]))

    def list(self, request: dict[str, Any]) -> dict[str, Any]:
        group = request.get("ModelPackageGroupName", "").split("/")[-1] or None
        if group:
            self._group(group)
        status, kind = request.get("ModelApprovalStatus"), request.get("ModelPackageType")
        packages = [
            package
            for package in created_within(self._table.list(_PACKAGE, group), request)
            if status in (None, package.detail["ModelApprovalStatus"])
            and kind != "Unversioned"  # every package here has a version
        ]
        page, token = page_of(_ordered(packages, request), request, PAGE)
        return {"ModelPackageSummaryList": [_summary(p) for p in page]} | token

    def update(self, request: dict[str, Any]) -> dict[str, Any]:
        package = self._package(request["ModelPackageArn"])
        with self._table.editing(_PACKAGE, package.name) as row:
            for member in ("ModelApprovalStatus", "ApprovalDescription"):
                if member in request:
                    row.detail[member] = request[member]
            for member in ("AdditionalInferenceSpecifications", "SourceUri", "ModelCard", "ModelLifeCycle"):
                if member in request:
                    row.request[member] = request[member]
            metadata = row.request.setdefault("CustomerMetadataProperties", {})
            metadata |= request.get("CustomerMetadataProperties", {})
            for key in request.get("CustomerMetadataPropertiesToRemove", []):
                metadata.pop(key, None)
            row.detail["modified"] = time.time()
        return {"ModelPackageArn": package.name}

    def delete(self, request: dict[str, Any]) -> None:
        self._table.delete(_PACKAGE, self._package(request["ModelPackageName"]).name)

    def batch_describe(self, request: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        errors: dict[str, Any] = {}
        for name in request["ModelPackageArnList"]:
            package = self._table.get(_PACKAGE, name)
            if package is None:
                errors[name] = {"ErrorCode": "ResourceNotFound", "ErrorResponse": f"{name} does not exist"}
            else:
                specification = package.request.get("InferenceSpecification", {"Containers": []})
                found[name] = _summary(package) | {"InferenceSpecification": specification}
        return {"ModelPackageSummaries": found, "BatchDescribeModelPackageErrorMap": errors}

    def _group(self, name: str) -> Resource:
        group = self._table.get(_GROUP, name.rsplit("/", maxsplit=1)[-1])
        if group is None:
            raise invalid(f"Model Package Group {arn(_GROUP, name)} does not exist.")
        return group

    def _package(self, name: str) -> Resource:
        package = self._table.get(_PACKAGE, name)
        if package is None:
            raise invalid(f"Model Package {name} does not exist.")
        return package


def _is_repeated(package: Resource, request: dict[str, Any]) -> bool:
    """Return True if a package was created by an earlier call of CreateModelPackage with the same token."""
    token = request.get("ClientToken")
    return token is not None and package.request.get("ClientToken") == token


def _view(package: Resource) -> dict[str, Any]:
    view = {member: package.request[member] for member in _PACKAGE_MEMBERS if package.request.get(member)}
    view |= {k: v for k, v in package.detail.items() if k != "modified"}
    return view | {
        "ModelPackageName": package.name.split("/", 1)[1],
        "ModelPackageArn": package.name,
        "CreationTime": package.created,
        "LastModifiedTime": package.detail.get("modified", package.created),
        "ModelPackageStatus": package.state,
        "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
        "CertifyForMarketplace": bool(package.request.get("CertifyForMarketplace", False)),
        "CreatedBy": _CREATED_BY,
    }


def _summary(package: Resource) -> dict[str, Any]:
    view = _view(package)
    return {member: view[member] for member in _SUMMARY if member in view}


def _group_view(group: Resource) -> dict[str, Any]:
    view = {
        "ModelPackageGroupName": group.name,
        "ModelPackageGroupArn": arn(_GROUP, group.name),
        "CreationTime": group.created,
        "ModelPackageGroupStatus": group.state,
    }
    if description := group.request.get("ModelPackageGroupDescription"):
        view["ModelPackageGroupDescription"] = description
    return view


def _ordered(rows: list[Resource], request: dict[str, Any]) -> list[Resource]:
    by_name = request.get("SortBy") == "Name"
    # the sort is stable, so versions with the same creation time keep the order of the table
    ordered = sorted(rows, key=lambda row: row.name) if by_name else rows
    return ordered if request.get("SortOrder") == "Ascending" else ordered[::-1]
