"""Packages of the Model Registry: found by their manifest, in few calls however many there are."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from include.aws import registry as module
from include.aws.registry import APPROVED, PENDING, REJECTED, ModelPackage, ModelRegistry, package_request
from include.contracts.errors import InputError
from include.contracts.manifests import ModelManifest, ParentRef
from include.object_store import ObjectStore
from include.settings import load_settings
from tests.dags.models import CORPUS, register

#: Three pages of a listing, so that a walk over all of them is seen.
MANY = 201


@pytest.fixture
def calls(aws: Any, registry: ModelRegistry) -> Counter[str]:
    """The calls of the registry, by operation. The registry of the test counts them."""
    counted: Counter[str] = Counter()
    client = aws.client("sagemaker")
    client.meta.events.register("before-call.sagemaker", lambda model, **_: counted.update([model.name]))
    registry._sagemaker = client
    return counted


def add_others(aws: Any) -> None:
    """Register many other models, some seconds before or after what a test does next."""
    sagemaker, settings = aws.client("sagemaker"), load_settings()
    model = ModelManifest("safetensors", "other", 1, CORPUS, CORPUS, 1, 1, ())

    def add(number: int) -> None:
        manifest = ParentRef(
            f"s3://nexus-llm-models/runs/other-{number}/model/manifest.json", f"{number:064d}"
        )
        sagemaker.create_model_package(**package_request(settings, model, manifest, {}))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(MANY)))
    time.sleep(1.1)  # S3 tells whole seconds


@contextmanager
def exact_clocks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(module, "_CLOCK_TOLERANCE", timedelta(0))
        yield


def test_an_approved_manifest_is_found(registry: ModelRegistry) -> None:
    package = register(registry, "a")
    registry.set_status(package.arn, APPROVED, "passed the gate")
    assert registry.require_approved(package.manifest).arn == package.arn


@pytest.mark.parametrize("status", [PENDING, REJECTED])
def test_a_manifest_that_did_not_pass_the_gate_is_refused(registry: ModelRegistry, status: str) -> None:
    package = register(registry, "a")
    registry.set_status(package.arn, status, "by hand")
    with pytest.raises(InputError, match=f"not approved.*is {status}"):
        registry.require_approved(package.manifest)


def test_other_bytes_under_an_approved_manifests_name_are_refused(registry: ModelRegistry) -> None:
    package = register(registry, "a")
    registry.set_status(package.arn, APPROVED, "passed the gate")
    with pytest.raises(InputError, match="no package of this manifest"):
        registry.require_approved(replace(package.manifest, sha256="b" * 64))


def test_a_new_model_among_many_is_registered_after_one_listing(
    registry: ModelRegistry, calls: Counter[str], aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(registry, "first")  # creates the group
    add_others(aws)
    calls.clear()
    with exact_clocks(monkeypatch):
        register(registry, "new")
    assert calls == {"ListModelPackages": 1, "CreateModelPackage": 1}


def test_a_registered_model_among_many_is_found_by_one_call(
    registry: ModelRegistry, calls: Counter[str], aws: Any
) -> None:
    package = register(registry, "old")
    add_others(aws)
    calls.clear()
    assert registry.find(package.manifest) == registry.package(package.arn)
    assert calls == {"DescribeModelPackage": 2}


def test_a_model_whose_registration_was_interrupted_is_found_among_many_newer_ones(
    registry: ModelRegistry, calls: Counter[str], aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = register(registry, "old")
    ObjectStore().delete(registry._registration_uri(package.manifest))
    add_others(aws)
    calls.clear()
    with exact_clocks(monkeypatch):
        found = registry.find(package.manifest)
    assert found and found.arn == package.arn
    assert calls == {"ListModelPackages": 1, "DescribeModelPackage": 1}


def test_a_model_that_was_exported_again_keeps_its_package(
    registry: ModelRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = register(registry, "a")
    registry.set_status(package.arn, REJECTED, "fail: worse")
    time.sleep(1.1)  # the same manifest is written again, and is newer than its package
    with exact_clocks(monkeypatch):
        again = register(registry, "a")
    assert (again.arn, again.status) == (package.arn, REJECTED)


def test_a_model_whose_package_was_deleted_is_registered_again(registry: ModelRegistry, aws: Any) -> None:
    package = register(registry, "a")
    aws.client("sagemaker").delete_model_package(ModelPackageName=package.arn)
    assert registry.find(package.manifest) is None
    again = register(registry, "a")
    assert again.arn != package.arn
    assert found(registry, again.manifest) == again.arn


def test_a_model_whose_manifest_was_deleted_is_found(registry: ModelRegistry) -> None:
    package = register(registry, "a")
    ObjectStore().delete(package.manifest.uri)
    assert found(registry, package.manifest) == package.arn
    ObjectStore().delete(registry._registration_uri(package.manifest))
    assert found(registry, package.manifest) == package.arn


def found(registry: ModelRegistry, manifest: ParentRef) -> str:
    package: ModelPackage | None = registry.find(manifest)
    return package.arn if package else ""
