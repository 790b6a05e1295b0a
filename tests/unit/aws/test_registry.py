"""What may go live: a manifest whose package is approved."""

from __future__ import annotations

from typing import Any

import pytest

from include.aws.registry import APPROVED, PENDING, REJECTED, ModelRegistry
from include.contracts.errors import InputError
from include.contracts.manifests import ParentRef
from include.settings import load_settings

MANIFEST = ParentRef("s3://models/runs/r/model/manifest.json", "a" * 64)


class _SageMaker:
    """A package group with one package in ``status``."""

    def __init__(self, status: str) -> None:
        self._status = status

    def get_paginator(self, _: str) -> Any:
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return [{"ModelPackageSummaryList": [{"ModelPackageArn": "arn:package/1"}]}]

    def describe_model_package(self, **_: Any) -> dict[str, Any]:
        metadata = {"manifest_uri": MANIFEST.uri, "manifest_sha256": MANIFEST.sha256, "run": "r"}
        return {"CustomerMetadataProperties": metadata, "ModelApprovalStatus": self._status}


def registry(status: str) -> ModelRegistry:
    return ModelRegistry(load_settings("dev"), _SageMaker(status))


def test_an_approved_manifest_is_found() -> None:
    assert registry(APPROVED).require_approved(MANIFEST).arn == "arn:package/1"


@pytest.mark.parametrize("status", [PENDING, REJECTED])
def test_a_manifest_that_did_not_pass_the_gate_is_refused(status: str) -> None:
    with pytest.raises(InputError, match=f"not approved.*is {status}"):
        registry(status).require_approved(MANIFEST)


def test_other_bytes_under_an_approved_manifests_name_are_refused() -> None:
    with pytest.raises(InputError, match="no package of this manifest"):
        registry(APPROVED).require_approved(ParentRef(MANIFEST.uri, "b" * 64))
