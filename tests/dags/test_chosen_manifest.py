"""The manifest that a run takes: the param's, else the newest event's, else the newest one there is."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Asset
from airflow.sdk.execution_time.comms import AssetEventDagRunReferenceResult
from airflow.sdk.execution_time.context import TriggeringAssetEventsAccessor

from include.contracts.errors import InputError, IntegrityError
from include.contracts.manifests import ParentRef
from include.contracts.storage import S3Uri
from include.object_store import ObjectStore
from nexus_airflow.assets import approved_model, candidate_model, choose_manifest, extra_of, token_dataset
from nexus_airflow.tasks import deployment, evaluation, training
from tests.dags.conftest import form, values

FIRST, SECOND, THIRD = (
    ParentRef(f"s3://nexus-llm-models/runs/r{n}/model/manifest.json", str(n) * 64) for n in (1, 2, 3)
)


def event(asset: Asset, hour: int, extra: dict[str, Any]) -> AssetEventDagRunReferenceResult:
    return AssetEventDagRunReferenceResult(
        asset={"name": asset.name, "uri": asset.uri, "extra": {}},  # type: ignore[arg-type]
        extra=extra,
        source_task_id="register",
        source_dag_id="model_training",
        source_run_id="r",
        source_map_index=-1,
        source_aliases=[],
        timestamp=datetime(2026, 1, 1, hour, tzinfo=UTC),
    )


def events(*given: AssetEventDagRunReferenceResult) -> TriggeringAssetEventsAccessor:
    """Build events as Airflow passes them to a task: by asset, in no particular order."""
    return TriggeringAssetEventsAccessor.build(given)


def nothing() -> None:
    """Return nothing: no manifest was ever published."""


def chosen(params: dict[str, Any], given: Any, newest: Any = nothing) -> ParentRef:
    return choose_manifest(params, given, candidate_model, newest).manifest


def test_the_newest_of_several_events_wins_and_the_others_are_named(caplog: pytest.LogCaptureFixture) -> None:
    order = [(2, SECOND), (3, THIRD), (1, FIRST)]
    given = events(*(event(candidate_model, hour, extra_of(reference)) for hour, reference in order))
    with caplog.at_level(logging.WARNING):
        choice = choose_manifest({}, given, candidate_model, nothing)
    assert choice.manifest == THIRD and not choice.is_chosen_by_a_person
    assert [extra["manifest_uri"] for extra in choice.superseded] == [FIRST.uri, SECOND.uri]
    named = [record.getMessage() for record in caplog.records]
    assert [FIRST.uri in named[0], SECOND.uri in named[1]] == [True, True]
    assert THIRD.uri not in caplog.text


def test_an_event_that_was_sent_twice_supersedes_nothing() -> None:
    given = events(*(event(candidate_model, hour, extra_of(FIRST)) for hour in (1, 2)))
    assert choose_manifest({}, given, candidate_model, nothing).superseded == ()


def test_a_param_wins_over_every_event() -> None:
    given = events(event(candidate_model, 3, extra_of(THIRD)))
    params = {"manifest_uri": FIRST.uri, "manifest_sha256": FIRST.sha256}
    assert choose_manifest(params, given, candidate_model, nothing).is_chosen_by_a_person
    assert chosen(params, given) == FIRST
    assert chosen(params, None) == FIRST


@pytest.mark.parametrize("sha256", [{}, {"manifest_sha256": ""}, {"manifest_sha256": None}])
def test_a_param_without_hash_takes_whatever_is_there_and_borrows_no_events_hash(
    sha256: dict[str, Any],
) -> None:
    given = events(event(candidate_model, 3, extra_of(THIRD)))
    assert chosen({"manifest_uri": FIRST.uri} | sha256, given) == ParentRef(FIRST.uri, "")


def test_an_event_without_manifest_is_passed_over_for_an_older_one_with() -> None:
    given = events(
        event(candidate_model, 1, extra_of(FIRST, run="r1")),
        event(candidate_model, 2, {"from": "a click on Create asset event"}),
    )
    assert chosen({"manifest_uri": ""}, given) == FIRST


WITHOUT = pytest.mark.parametrize(
    "given",
    [
        None,
        events(),
        events(event(approved_model, 1, extra_of(FIRST))),
        events(event(candidate_model, 1, {}), event(candidate_model, 2, {"manifest_uri": ""})),
    ],
    ids=["by hand", "none", "of another asset", "without a manifest"],
)


@WITHOUT
def test_with_neither_the_newest_one_there_is_is_taken(given: TriggeringAssetEventsAccessor | None) -> None:
    choice = choose_manifest({"manifest_uri": ""}, given, candidate_model, lambda: SECOND)
    assert (choice.manifest, choice.chosen_by) == (SECOND, "newest one there is")
    assert not choice.is_chosen_by_a_person


@WITHOUT
def test_with_nothing_at_all_it_refuses_and_says_what_to_do(
    given: TriggeringAssetEventsAccessor | None,
) -> None:
    with pytest.raises(InputError, match=r"there is no candidate_model yet.*run the DAG before this one"):
        chosen({"manifest_uri": ""}, given)


def test_a_hash_without_its_manifest_is_refused_and_not_ignored() -> None:
    given = events(event(candidate_model, 3, extra_of(THIRD)))
    with pytest.raises(InputError, match="a hash without its manifest"):
        chosen({"manifest_uri": "", "manifest_sha256": FIRST.sha256}, given)


@pytest.mark.parametrize("by_event", [False, True], ids=["param", "event"])
@pytest.mark.parametrize(
    ("tasks", "dag_id", "asset"),
    [
        (training, "model_training", token_dataset),
        (evaluation, "model_evaluation", candidate_model),
        (deployment, "model_deployment", approved_model),
    ],
    ids=["training", "evaluation", "deployment"],
)
def test_other_bytes_than_the_chosen_ones_are_refused_by_each_plan(
    aws: Any, settings_file: Any, tasks: ModuleType, dag_id: str, asset: Asset, by_event: bool
) -> None:
    aws.client("s3").create_bucket(Bucket=settings_file.storage.models_bucket)
    ObjectStore().write(S3Uri.parse(FIRST.uri), b'{"changed": "since"}')
    dag, run = form(dag_id), SimpleNamespace(dag_id=dag_id, run_id="r")
    given = events(event(asset, 1, extra_of(FIRST))) if by_event else None
    conf = {} if by_event else {"manifest_uri": FIRST.uri, "manifest_sha256": FIRST.sha256}
    with pytest.raises(IntegrityError, match=FIRST.uri):
        tasks.plan.function(params=values(dag, **conf), dag=dag, dag_run=run, triggering_asset_events=given)
