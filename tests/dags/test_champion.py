"""The champion: the model that was approved or rolled back to last, not the one that was created last."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from include.aws.ecs import task_definition
from include.aws.registry import APPROVED, PENDING, REJECTED, ModelPackage, ModelRegistry
from include.aws.rollouts import Rollouts
from include.contracts.manifests import ModelManifest, ParentRef
from include.contracts.records import canonical_json, to_plain
from include.contracts.storage import S3Uri
from include.object_store import ObjectStore
from nexus_airflow.tasks import deployment, evaluation
from tests.dags.conftest import form, values


@pytest.fixture
def registry(aws: Any, settings_file: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> ModelRegistry:
    """A registry of this test alone."""
    aws.client("s3").create_bucket(Bucket=settings_file.storage.models_bucket)
    path, name = tmp_path / "registry.toml", tmp_path.name.replace("_", "-")[-30:].strip("-")
    text = (tmp_path / "settings.toml").read_text()
    path.write_text(text.replace('package_group = "nexus-llm"', f'package_group = "{name}"'))
    monkeypatch.setenv("NEXUS_SETTINGS", str(path))
    from include.settings import load_settings

    return ModelRegistry(load_settings())


def register(registry: ModelRegistry, run: str) -> ModelPackage:
    uri = S3Uri("nexus-llm-models", f"runs/{run}/model/manifest.json")
    parent = ParentRef("s3://nexus-llm-processed/corpus/v/manifest.json", "c" * 64)
    model = ModelManifest("safetensors", run, 1, parent, parent, 1, 1, ())
    return registry.register(model, ObjectStore().write_record(uri, model), {})


def approve(registry: ModelRegistry, package: ModelPackage, *, is_best: bool = True) -> None:
    before = registry.champion()
    planned = {
        "package_arn": package.arn,
        "candidate": to_plain(package.manifest),
        "run": package.run,
        "anchor_arn": registry.anchor(before).arn if before else "",
    }
    assert len(list(evaluation.approve.function(planned, {"reasons": [], "is_best": is_best}))) == 1


def anchor(registry: ModelRegistry) -> str:
    found = registry.champion()
    assert found is not None
    return registry.anchor(found).run


def champion(registry: ModelRegistry) -> str:
    found = registry.champion()
    return found.run if found else ""


def test_the_model_that_was_approved_last_is_the_champion_whenever_it_was_created(
    registry: ModelRegistry,
) -> None:
    assert registry.champion() is None
    a, b = register(registry, "a"), register(registry, "b")
    assert registry.champion() is None
    approve(registry, b)
    approve(registry, a)
    assert champion(registry) == "a"
    approve(registry, b)
    assert champion(registry) == "b"


def test_approvals_in_the_console_count_in_their_order(registry: ModelRegistry) -> None:
    a, b, c = (register(registry, run) for run in "abc")
    registry.set_status(b.arn, APPROVED, "by hand")
    registry.set_status(a.arn, APPROVED, "by hand")
    assert champion(registry) == "a"
    approve(registry, c)
    assert champion(registry) == "c"
    registry.set_status(c.arn, REJECTED, "by hand")
    assert champion(registry) == "a", "a rollback in the registry goes back by one approval"


def test_a_deployment_by_hand_of_an_earlier_model_makes_it_the_champion(registry: ModelRegistry) -> None:
    a, b = register(registry, "a"), register(registry, "b")
    for package in (a, b):
        approve(registry, package)
    dag, run = form("model_deployment"), SimpleNamespace(dag_id="model_deployment", run_id="r")
    params = values(dag, manifest_uri=a.manifest.uri)
    planned = deployment.plan.function(params=params, dag=dag, dag_run=run)
    assert planned["chosen_by"] == "param manifest_uri"
    rollout = {"deployment_id": "arn:d/1", "revision": "x:1", "endpoint": "http://x"}
    exported = {"manifest_uri": "s3://nexus-llm-models/e/manifest.json", "manifest_sha256": "e" * 64}
    deployment.record_deployment.function(planned, exported, rollout)
    assert champion(registry) == "a"
    deployment.record_deployment.function(
        planned | {"is_by_hand": False, "package_arn": b.arn}, exported, rollout
    )
    assert champion(registry) == "a", "a deployment that an approval started rolls nothing back"


def test_the_anchor_is_the_best_approved_model_through_many_that_are_not_better(
    registry: ModelRegistry,
) -> None:
    for run, is_best, best in (("a", True, "a"), ("b", False, "a"), ("c", False, "a"), ("d", True, "d")):
        approve(registry, register(registry, run), is_best=is_best)
        assert (champion(registry), anchor(registry)) == (run, best)
    approve(registry, register(registry, "e"), is_best=False)
    assert (champion(registry), anchor(registry)) == ("e", "d")


def test_a_rollback_brings_back_the_anchor_of_its_time(registry: ModelRegistry) -> None:
    a, b, c = (register(registry, run) for run in "abc")
    approve(registry, a)
    approve(registry, b, is_best=False)
    approve(registry, c)
    registry.note_champion(b.arn)
    assert (champion(registry), anchor(registry)) == ("b", "a")


def test_what_a_person_decides_in_the_console_is_the_new_anchor(registry: ModelRegistry) -> None:
    a, b, c = (register(registry, run) for run in "abc")
    approve(registry, a)
    approve(registry, b, is_best=False)
    registry.set_status(a.arn, REJECTED, "by hand")
    assert (champion(registry), anchor(registry)) == ("b", "b")
    registry.set_status(c.arn, APPROVED, "by hand")
    assert (champion(registry), anchor(registry)) == ("c", "c")


def test_a_record_of_approvals_without_anchors_is_read(registry: ModelRegistry) -> None:
    a = register(registry, "a")
    approve(registry, a)
    uri = registry._approvals_uri
    ObjectStore().write(uri, canonical_json({"order": [a.arn]}))
    assert (champion(registry), anchor(registry)) == ("a", "a")


def test_the_plan_names_the_anchor_and_the_job_scores_it(registry: ModelRegistry) -> None:
    dag, run = form("model_evaluation"), SimpleNamespace(dag_id="model_evaluation", run_id="r")
    a, b = register(registry, "a"), register(registry, "b")
    approve(registry, a)
    approve(registry, b, is_best=False)
    register(registry, "c")
    planned = evaluation.plan.function(params=values(dag), dag=dag, dag_run=run)
    assert planned["champion"] == to_plain(b.manifest)
    assert planned["anchor"] == to_plain(a.manifest) and planned["anchor_arn"] == a.arn
    arguments = planned["job"]["request"]["AppSpecification"]["ContainerArguments"]
    assert arguments[arguments.index("--anchor") + 1] == a.manifest.uri
    assert arguments[arguments.index("--anchor-sha256") + 1] == a.manifest.sha256


def test_by_hand_with_defaults_the_champion_is_deployed(registry: ModelRegistry) -> None:
    dag, run = form("model_deployment"), SimpleNamespace(dag_id="model_deployment", run_id="r")
    a, b = register(registry, "a"), register(registry, "b")
    approve(registry, b)
    approve(registry, a)
    planned = deployment.plan.function(params=values(dag), dag=dag, dag_run=run)
    assert (planned["run"], planned["chosen_by"]) == ("a", "newest one there is")


def test_by_hand_with_defaults_the_newest_candidate_is_judged_against_the_champion(
    registry: ModelRegistry,
) -> None:
    dag, run = form("model_evaluation"), SimpleNamespace(dag_id="model_evaluation", run_id="r")
    a, b = register(registry, "a"), register(registry, "b")
    c = register(registry, "c")
    for package in (b, a):
        approve(registry, package)
    planned = evaluation.plan.function(params=values(dag), dag=dag, dag_run=run)
    assert planned["run"] == "c" and planned["champion"] == to_plain(a.manifest)
    arguments = planned["job"]["request"]["AppSpecification"]["ContainerArguments"]
    assert a.manifest.uri in arguments and c.manifest.uri in arguments


def test_a_candidate_that_a_newer_one_replaced_says_so_in_the_registry(
    registry: ModelRegistry, aws: Any
) -> None:
    older, judged, newer = (register(registry, run) for run in ("older", "judged", "newer"))
    registry.set_status(judged.arn, REJECTED, "fail: worse")
    extras = [
        {"manifest_uri": package.manifest.uri, "manifest_sha256": package.manifest.sha256}
        for package in (older, judged)
    ]
    marked = evaluation.mark_superseded.function({"superseded": extras, "package_arn": newer.arn})
    assert marked == [older.arn]
    sagemaker = aws.client("sagemaker")
    described = sagemaker.describe_model_package(ModelPackageName=older.arn)
    assert described["ModelApprovalStatus"] == REJECTED
    assert f"not judged: superseded by {newer.arn}" in described["ApprovalDescription"]
    assert older.manifest.uri in described["ApprovalDescription"]
    described = sagemaker.describe_model_package(ModelPackageName=judged.arn)
    assert described["ApprovalDescription"] == "fail: worse"
    with pytest.raises(AirflowSkipException):
        evaluation.mark_superseded.function({"superseded": extras, "package_arn": newer.arn})
    assert registry.find(newer.manifest).status == PENDING  # type: ignore[union-attr]


def test_after_a_rollback_by_the_smoke_test_the_model_that_serves_again_is_the_champion(
    registry: ModelRegistry, aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = register(registry, "a"), register(registry, "b")
    for package in (a, b):
        approve(registry, package)
    model = ModelManifest("openvino", "a", 1, a.manifest, a.manifest, 1, 1, ())
    converted = ObjectStore().write_record(S3Uri("nexus-llm-models", "runs/a/serving/manifest.json"), model)
    from include.settings import load_settings

    former, _ = Rollouts("c", "s").register(task_definition(load_settings(), converted), "a")
    monkeypatch.setattr(Rollouts, "target", lambda _: "arn:new")
    monkeypatch.setattr(Rollouts, "start", lambda *_: None)
    monkeypatch.setattr(deployment, "_SMOKE_PAUSE_SECONDS", 0)
    rollout = {"task_definition": "arn:new", "previous_task_definition": former}
    rollout["endpoint"] = "http://127.0.0.1:9"
    planned = {"smoke": {"prompt": "x", "tokens": 1}}
    with pytest.raises(AirflowFailException, match="the service is rolled back"):
        deployment.smoke_test.function(planned, {"manifest_sha256": "e" * 64}, rollout)
    assert champion(registry) == "a"
