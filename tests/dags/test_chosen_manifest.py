"""Which manifest a run takes: the param's, else the newest event's, and only with the bytes it was given."""

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
from nexus_airflow.assets import approved_model, candidate_model, chosen_manifest, extra_of, token_dataset
from nexus_airflow.tasks import deployment, evaluation, training

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
    """As Airflow hands them to a task: by asset, in no order that one could rely on."""
    return TriggeringAssetEventsAccessor.build(given)


def test_the_newest_of_several_events_wins_and_the_others_are_named(caplog: pytest.LogCaptureFixture) -> None:
    order = [(2, SECOND), (3, THIRD), (1, FIRST)]
    given = events(*(event(candidate_model, hour, extra_of(reference)) for hour, reference in order))
    with caplog.at_level(logging.WARNING):
        assert chosen_manifest({}, given, candidate_model) == THIRD
    named = [record.getMessage() for record in caplog.records]
    assert [FIRST.uri in named[0], SECOND.uri in named[1]] == [True, True]
    assert THIRD.uri not in caplog.text


def test_a_param_wins_over_every_event() -> None:
    given = events(event(candidate_model, 3, extra_of(THIRD)))
    params = {"manifest_uri": FIRST.uri, "manifest_sha256": FIRST.sha256}
    assert chosen_manifest(params, given, candidate_model) == FIRST
    assert chosen_manifest(params, None, candidate_model) == FIRST


@pytest.mark.parametrize("sha256", [{}, {"manifest_sha256": ""}, {"manifest_sha256": None}])
def test_a_param_without_hash_takes_whatever_is_there_and_borrows_no_events_hash(
    sha256: dict[str, Any],
) -> None:
    given = events(event(candidate_model, 3, extra_of(THIRD)))
    chosen = chosen_manifest({"manifest_uri": FIRST.uri} | sha256, given, candidate_model)
    assert chosen == ParentRef(FIRST.uri, "")


def test_an_event_without_manifest_is_passed_over_for_an_older_one_with() -> None:
    given = events(
        event(candidate_model, 1, extra_of(FIRST, run="r1")),
        event(candidate_model, 2, {"from": "a click on Create asset event"}),
    )
    assert chosen_manifest({"manifest_uri": ""}, given, candidate_model) == FIRST


@pytest.mark.parametrize(
    "given",
    [
        None,
        events(),
        events(event(approved_model, 1, extra_of(FIRST))),
        events(event(candidate_model, 1, {}), event(candidate_model, 2, {"manifest_uri": ""})),
    ],
    ids=["by hand", "none", "of another asset", "without a manifest"],
)
def test_with_neither_it_refuses_and_says_what_to_give(given: TriggeringAssetEventsAccessor | None) -> None:
    with pytest.raises(InputError, match=r"asset candidate_model.*trigger this DAG with manifest_uri"):
        chosen_manifest({"manifest_uri": ""}, given, candidate_model)


@pytest.mark.parametrize("by_event", [False, True], ids=["param", "event"])
@pytest.mark.parametrize(
    ("steps", "asset"),
    [(training, token_dataset), (evaluation, candidate_model), (deployment, approved_model)],
    ids=["training", "evaluation", "deployment"],
)
def test_other_bytes_than_the_chosen_ones_are_refused_by_each_plan(
    aws: Any, settings_file: Any, steps: ModuleType, asset: Asset, by_event: bool
) -> None:
    aws.client("s3").create_bucket(Bucket=settings_file.storage.models_bucket)
    ObjectStore().write(S3Uri.parse(FIRST.uri), b'{"changed": "since"}')
    params = {"manifest_uri": FIRST.uri, "manifest_sha256": FIRST.sha256}
    given = events(event(asset, 1, extra_of(FIRST)))
    run = SimpleNamespace(dag_id="tests", run_id="r")
    with pytest.raises(IntegrityError, match=FIRST.uri):
        if by_event:
            steps.plan(params={}, dag_run=run, triggering_asset_events=given)
        else:
            steps.plan(params=params, dag_run=run)
