"""The packages that may go live: those of an approved manifest. And the calls it takes to find one."""

from __future__ import annotations

from typing import Any

import pytest

from include.aws.registry import APPROVED, PENDING, REJECTED, ModelRegistry, package_request
from include.contracts.errors import InputError
from include.contracts.manifests import ModelManifest, ParentRef
from include.settings import load_settings

MANIFEST = ParentRef("s3://models/runs/r/model/manifest.json", "a" * 64)
SETTINGS = load_settings("dev")


class _SageMaker:
    """A package group with one package of the manifest in ``status``, older than ``newer`` others."""

    def __init__(self, status: str, newer: int = 0) -> None:
        self._status = status
        model = ModelManifest("safetensors", "r", 1, MANIFEST, MANIFEST, 1, 1, ())
        self._request = package_request(SETTINGS, model, MANIFEST, {})
        others = [
            {"ModelPackageArn": f"arn:package/{n}", "ModelPackageDescription": "run x"}
            for n in range(newer + 1, 1, -1)
        ]
        ours = {
            "ModelPackageArn": "arn:package/1",
            "ModelPackageDescription": self._request["ModelPackageDescription"],
        }
        self._packages = [*others, ours]
        self.described = 0

    def list_model_packages(self, MaxResults: int, NextToken: str = "0", **_: Any) -> dict[str, Any]:  # noqa: N803
        end = int(NextToken) + MaxResults
        more = {"NextToken": str(end)} if end < len(self._packages) else {}
        return {"ModelPackageSummaryList": self._packages[int(NextToken) : end], **more}

    def describe_model_package(self, ModelPackageName: str) -> dict[str, Any]:  # noqa: N803
        self.described += 1
        metadata = self._request["CustomerMetadataProperties"] if ModelPackageName.endswith("/1") else {}
        return {
            "CustomerMetadataProperties": metadata,
            "ModelApprovalStatus": self._status,
            "CreationTime": 0,
        }


def registry(status: str) -> ModelRegistry:
    return ModelRegistry(SETTINGS, _SageMaker(status))


def test_an_approved_manifest_is_found() -> None:
    assert registry(APPROVED).require_approved(MANIFEST).arn == "arn:package/1"


@pytest.mark.parametrize("status", [PENDING, REJECTED])
def test_a_manifest_that_did_not_pass_the_gate_is_refused(status: str) -> None:
    with pytest.raises(InputError, match=f"not approved.*is {status}"):
        registry(status).require_approved(MANIFEST)


def test_other_bytes_under_an_approved_manifests_name_are_refused() -> None:
    with pytest.raises(InputError, match="no package of this manifest"):
        registry(APPROVED).require_approved(ParentRef(MANIFEST.uri, "b" * 64))


def test_a_package_among_many_is_found_without_describing_the_others() -> None:
    sagemaker = _SageMaker(APPROVED, newer=350)
    assert ModelRegistry(SETTINGS, sagemaker).require_approved(MANIFEST).arn == "arn:package/1"
    assert sagemaker.described == 1
