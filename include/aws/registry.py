"""The Model Registry: candidates, the champion (the newest approved package), and verdicts on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from include.aws.clients import client
from include.contracts.errors import InputError
from include.contracts.manifests import ModelManifest, ParentRef
from include.settings import Settings

PENDING, APPROVED, REJECTED = "PendingManualApproval", "Approved", "Rejected"
_DESCRIPTION_LIMIT = 1024


@dataclass(frozen=True)
class ModelPackage:
    """A registered model: its ARN, its manifest, and whether it was approved."""

    arn: str
    manifest: ParentRef
    run: str
    status: str


def package_request(
    settings: Settings, model: ModelManifest, manifest: ParentRef, metadata: dict[str, str]
) -> dict[str, Any]:
    """CreateModelPackage, pending: the manifest's URI and hash are the identity of the model."""
    return {
        "ModelPackageGroupName": settings.registry.package_group,
        "ModelPackageDescription": f"run {model.run}, step {model.step}, {model.parameters} parameters",
        "ModelApprovalStatus": PENDING,
        "InferenceSpecification": {
            "Containers": [
                {"Image": settings.images.serving, "ModelDataUrl": manifest.uri.rpartition("/")[0] + "/"}
            ],
            "SupportedContentTypes": ["application/json"],
            "SupportedResponseMIMETypes": ["application/json", "text/event-stream"],
        },
        "CustomerMetadataProperties": {
            "manifest_uri": manifest.uri,
            "manifest_sha256": manifest.sha256,
            "corpus_uri": model.corpus.uri,
            "corpus_sha256": model.corpus.sha256,
            "run": model.run,
            **metadata,
        },
    }


class ModelRegistry:
    """The package group of this account."""

    def __init__(self, settings: Settings, sagemaker: Any = None) -> None:
        self._settings = settings
        self._sagemaker = sagemaker or client("sagemaker")

    def champion(self) -> ModelPackage | None:
        """The newest approved package; None before the first approval."""
        return next(self._packages(APPROVED), None)

    def find(self, manifest: ParentRef) -> ModelPackage | None:
        """The newest package of exactly this manifest."""
        return next((package for package in self._packages() if package.manifest == manifest), None)

    def require_approved(self, manifest: ParentRef) -> ModelPackage:
        """The approved package of this manifest; InputError else: nothing goes live past the gate."""
        package = self.find(manifest)
        if package is None or package.status != APPROVED:
            found = f"{package.arn} is {package.status}" if package else "no package of this manifest"
            raise InputError(
                "this model is not approved",
                where=manifest.uri,
                expected=f"a model package in state {APPROVED}",
                got=found,
                remedy="let model_evaluation judge it, or approve the package in the registry",
            )
        return package

    def register(self, model: ModelManifest, manifest: ParentRef, metadata: dict[str, str]) -> ModelPackage:
        """Register a candidate; the same manifest is registered once, also when a retry asks again."""
        known = self.find(manifest)
        if known:
            return known
        request = package_request(self._settings, model, manifest, metadata)
        arn = self._sagemaker.create_model_package(**request)["ModelPackageArn"]
        return ModelPackage(arn, manifest, model.run, PENDING)

    def set_status(self, arn: str, status: str, reason: str) -> None:
        """Approve or reject, with the reason for whoever reads the registry."""
        self._sagemaker.update_model_package(
            ModelPackageArn=arn, ModelApprovalStatus=status, ApprovalDescription=reason[:_DESCRIPTION_LIMIT]
        )

    def _packages(self, status: str | None = None) -> Any:
        request: dict[str, Any] = {
            "ModelPackageGroupName": self._settings.registry.package_group,
            "SortBy": "CreationTime",
            "SortOrder": "Descending",
        }
        if status:
            request["ModelApprovalStatus"] = status
        for page in self._sagemaker.get_paginator("list_model_packages").paginate(**request):
            for summary in page["ModelPackageSummaryList"]:
                described = self._sagemaker.describe_model_package(
                    ModelPackageName=summary["ModelPackageArn"]
                )
                metadata = described.get("CustomerMetadataProperties", {})
                if "manifest_uri" in metadata:
                    manifest = ParentRef(metadata["manifest_uri"], metadata.get("manifest_sha256", ""))
                    found = described.get("ModelApprovalStatus", "")
                    yield ModelPackage(summary["ModelPackageArn"], manifest, metadata.get("run", ""), found)
