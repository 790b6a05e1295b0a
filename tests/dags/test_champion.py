"""The champion: the model that was approved or rolled back to last, not the one that was created last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import PokeReturnValue
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from include.aws.ecs import task_definition
from include.aws.registry import APPROVED, PENDING, REJECTED, ModelPackage, ModelRegistry
from include.aws.rollouts import Rollouts
from include.contracts.manifests import ModelManifest
from include.contracts.records import canonical_json, to_plain
from include.contracts.storage import S3Uri
from include.object_store import ObjectStore
from include.settings import load_settings
from nexus_airflow.assets import extra_of
from nexus_airflow.sensors.champion import ChampionSensor, takes_over
from nexus_airflow.tasks import deployment, evaluation
from tests.dags.conftest import form, values
from tests.dags.models import described, register
from tests.support.waiting import wait_until


def approve(registry: ModelRegistry, package: ModelPackage, *, is_best: bool = True) -> None:
    """Approve a package by the last task of an evaluation that was planned now."""
    before, found = registry.champion(), registry.find(package.manifest)
    assert found is not None
    planned = {
        "package_arn": package.arn,
        "package_status": found.status,
        "package_reason": found.reason,
        "candidate": to_plain(package.manifest),
        "run": package.run,
        "champion_arn": before.arn if before else "",
        "anchor_arn": registry.anchor(before).arn if before else "",
        "verdict_uri": "s3://nexus-llm-models/runs/x/evaluations/e/verdict.json",
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


class Serving:
    """The service of this test, without tasks, so that its rollouts end at once."""

    def __init__(self, aws: Any) -> None:
        self.settings = load_settings()
        self.ecs, names = aws.client("ecs"), self.settings.serving
        self.names = {"cluster": names.cluster, "service": names.service}
        self.rollouts = Rollouts(names.cluster, names.service)
        self.ecs.create_cluster(clusterName=names.cluster)

    def define(self, package: ModelPackage) -> str:
        """Convert the model of a package and register its task definition."""
        parent = package.manifest
        model = ModelManifest("openvino", package.run, 1, parent, parent, 1, 256, ())
        uri = S3Uri("nexus-llm-models", f"runs/{package.run}/serving/manifest.json")
        converted = ObjectStore().write_record(uri, model)
        return self.rollouts.register(task_definition(self.settings, converted), "tests")[0]

    def roll_out(self, package: ModelPackage) -> dict[str, Any]:
        """Deploy a package; return the result of the task ``rollout``."""
        previous, definition = self.rollouts.steady(), self.define(package)
        if previous:
            self.ecs.update_service(**self.names, taskDefinition=definition)
        else:
            names = {"cluster": self.names["cluster"], "serviceName": self.names["service"]}
            self.ecs.create_service(**names, taskDefinition=definition, desiredCount=0)
        wait_until(self.rollouts.is_rolling, lambda rolling: not rolling)
        newest = self.ecs.list_service_deployments(**self.names)["serviceDeployments"][0]
        deployment = {"deployment_id": newest["serviceDeploymentArn"], "endpoint": "http://127.0.0.1:9"}
        return deployment | {"task_definition": definition, "previous_task_definition": previous}


@pytest.fixture
def service(registry: ModelRegistry, aws: Any) -> Iterator[Serving]:
    serving = Serving(aws)
    yield serving
    if serving.rollouts.service_status() == "ACTIVE":
        serving.ecs.delete_service(**serving.names, force=True)


def planned(**params: Any) -> dict[str, Any]:
    dag, run = form("model_deployment"), SimpleNamespace(dag_id="model_deployment", run_id="r")
    found: dict[str, Any] = deployment.plan.function(params=values(dag, **params), dag=dag, dag_run=run)
    return found


def by_event(package: ModelPackage) -> dict[str, Any]:
    """Return the plan of the run that the approval of a package starts."""
    return planned(manifest_uri=package.manifest.uri) | {"is_chosen_by_a_person": False}


def settle(plan: dict[str, Any] | None, rollout: dict[str, Any] | None) -> Any:
    """Return the runs of the models that serve and that are the champion, or None if none was recorded."""
    context: Any = {}
    settled = ChampionSensor(task_id="record_champion", planned=plan, rollout=rollout).poke(context)
    return settled.xcom_value if isinstance(settled, PokeReturnValue) else None


def test_a_deployment_by_hand_of_an_earlier_model_makes_it_the_champion(
    registry: ModelRegistry, service: Serving
) -> None:
    a, b, c = (register(registry, run) for run in "abc")
    for package in (a, b):
        approve(registry, package)
    service.roll_out(b)
    plan = planned(manifest_uri=a.manifest.uri)
    assert plan["chosen_by"] == "param manifest_uri"
    approve(registry, c)
    assert settle(plan, service.roll_out(a)) == {"served": "a", "champion": "a"}
    assert champion(registry) == "a"


def test_a_deployment_with_defaults_leaves_a_model_that_was_approved_meanwhile_the_champion(
    registry: ModelRegistry, service: Serving
) -> None:
    old, a, b = (register(registry, run) for run in ("old", "a", "b"))
    approve(registry, old)
    service.roll_out(old)
    approve(registry, a)
    plan = planned()
    assert (plan["run"], plan["chosen_by"]) == ("a", "newest one there is")
    rollout = service.roll_out(a)
    approve(registry, b)
    assert settle(plan, rollout) == {"served": "a", "champion": "b"}
    assert champion(registry) == "b", "its own deployment follows"


def test_approvals_in_the_console_are_described_until_a_deployment_records_them(
    registry: ModelRegistry, service: Serving, aws: Any
) -> None:
    described: Counter[str] = Counter()
    client = aws.client("sagemaker")
    client.meta.events.register("before-call.sagemaker", lambda model, **_: described.update([model.name]))
    counting = ModelRegistry(load_settings(), client)
    a, b, c = (register(registry, run) for run in "abc")
    for package in (c, a, b):
        registry.set_status(package.arn, APPROVED, "by hand")
    assert champion(counting) == "b"
    assert described["DescribeModelPackage"] == 4
    assert settle(planned(), service.roll_out(b)) == {"served": "b", "champion": "b"}
    described.clear()
    assert counting.approval_order() == [c.arn, a.arn, b.arn]
    assert champion(counting) == "b"
    assert described == {"ListModelPackages": 2, "DescribeModelPackage": 1}


def test_after_a_failed_rollout_the_model_that_serves_is_the_champion_until_a_clear_succeeds(
    registry: ModelRegistry, service: Serving
) -> None:
    a, b = register(registry, "a"), register(registry, "b")
    approve(registry, a)
    service.roll_out(a)
    approve(registry, b)
    assert champion(registry) == "b"
    assert settle(by_event(b), None) == {"served": "a", "champion": "a"}
    assert champion(registry) == "a"
    assert settle(by_event(b), service.roll_out(b)) == {"served": "b", "champion": "b"}
    assert (champion(registry), anchor(registry)) == ("b", "b")


def test_a_model_that_was_approved_after_the_failure_stays_the_champion(
    registry: ModelRegistry, service: Serving
) -> None:
    a, b, c = (register(registry, run) for run in "abc")
    approve(registry, a)
    service.roll_out(a)
    for package in (b, c):
        approve(registry, package)
    assert settle(by_event(b), None) == {"served": "a", "champion": "c"}
    assert settle(by_event(b), service.roll_out(b)) == {"served": "b", "champion": "c"}
    assert settle(by_event(c), None) == {"served": "b", "champion": "b"}


def test_a_model_that_serves_but_is_not_approved_does_not_become_the_champion(
    registry: ModelRegistry, service: Serving
) -> None:
    a, b = register(registry, "a"), register(registry, "b")
    approve(registry, a)
    approve(registry, b)
    assert settle(by_event(b), None) == {"served": "", "champion": "b"}, "nothing serves"
    service.roll_out(a)
    registry.set_status(a.arn, REJECTED, "by hand")
    assert settle(by_event(b), None) == {"served": "a", "champion": "b"}
    assert settle(None, None) is None, "the plan failed"


def test_the_champion_is_not_recorded_before_the_service_is_steady(
    registry: ModelRegistry, service: Serving
) -> None:
    a, b = register(registry, "a"), register(registry, "b")
    approve(registry, a)
    service.roll_out(a)
    approve(registry, b)
    # its image is unknown to this server, and no circuit breaker ends it
    service.ecs.update_service(**service.names, taskDefinition=service.define(b), desiredCount=1)
    assert settle(by_event(b), None) is None
    assert champion(registry) == "b"


@pytest.mark.parametrize(
    ("served", "champion", "own", "chosen", "replaced", "expected"),
    [
        ("a", "a", "a", True, "old", False),
        ("a", "b", "a", True, "old", True),
        ("old", "b", "a", True, "", False),
        ("a", "b", "a", False, "old", False),
        ("a", "old", "a", False, "old", True),
        ("old", "a", "a", False, "", True),
        ("colleague", "a", "a", False, "old", True),
        ("a", "b", "a", False, "", False),
    ],
)
def test_what_serves_takes_over_from_a_champion_that_is_not_going_to_serve(
    served: str, champion: str, own: str, chosen: bool, replaced: str, expected: bool
) -> None:
    plan = {"package_arn": own, "is_chosen_by_a_person": chosen}
    assert takes_over(served, champion, plan, replaced) is expected


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


def test_an_announced_model_without_hash_or_package_is_superseded_visibly_too(
    registry: ModelRegistry, aws: Any
) -> None:
    newer, without_hash = register(registry, "newer"), register(registry, "without-hash")
    uri = S3Uri("nexus-llm-models", "runs/without-package/model/manifest.json")
    parent = without_hash.manifest
    model = ModelManifest("safetensors", "without-package", 1, parent, parent, 1, 1, ())
    reference = ObjectStore().write_record(uri, model)
    extras = [{"manifest_uri": without_hash.manifest.uri}, extra_of(reference)]
    marked = evaluation.mark_superseded.function({"superseded": extras, "package_arn": newer.arn})
    found = registry.find(reference)
    assert found is not None and marked == [without_hash.arn, found.arn]
    assert {described(aws, arn)["ModelApprovalStatus"] for arn in marked} == {REJECTED}


def test_after_a_rollback_by_the_smoke_test_the_model_that_serves_again_is_the_champion(
    registry: ModelRegistry, service: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = register(registry, "a"), register(registry, "b")
    approve(registry, a)
    service.roll_out(a)
    approve(registry, b)
    rollout = service.roll_out(b)
    monkeypatch.setattr(deployment, "_SMOKE_PAUSE_SECONDS", 0)
    plan = by_event(b)
    with pytest.raises(AirflowFailException, match=r"the service was rolled back to \S+:1"):
        deployment.smoke_test.function(plan, {"manifest_sha256": "e" * 64}, rollout)
    assert settle(plan, rollout) == {"served": "a", "champion": "a"}
    assert champion(registry) == "a"
