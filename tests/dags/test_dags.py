"""The DAGs as Airflow reads them: no import errors, no network, structure, limits, help texts."""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import re
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import Param
from airflow.sdk.definitions.retry_policy import RetryAction
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.base import TimeRestriction
from airflow.triggers.base import BaseTrigger

import nexus_airflow.triggers
from include.aws.engines import Engine
from include.aws.job_specs import QUEUE_SECONDS
from include.ingest.errors import ShardMismatch, SourceRefused, SourceUnavailable
from include.recipes.source import load_source, source_names
from include.settings import load_settings
from nexus_airflow.operators.waiting import WaitingOperator
from nexus_airflow.sensors.new_shards import S3NewShardsSensor

ROOT = Path(__file__).resolve().parents[2]
DEFERRING = (WaitingOperator, S3NewShardsSensor)

#: task: what follows it
STRUCTURE = {
    "source_ingestion": {
        "plan": {"fetch"},
        "fetch": {"summary"},
        "summary": {"publish"},
        "publish": set(),
    },
    "corpus_refresh": {
        "wait_for_shards": {"plan"},
        "plan": {"start_engine", "clean", "deduplicate", "tokenise", "verify_manifest", "publish"},
        "start_engine": {"clean", "deduplicate", "tokenise", "end_engine"},
        "clean": {"deduplicate"},
        "deduplicate": {"tokenise"},
        "tokenise": {"end_engine", "verify_manifest"},
        "end_engine": set(),
        "verify_manifest": {"publish", "catalogue.prepare", "catalogue.register"},
        "catalogue.prepare": {"catalogue.crawl"},
        "catalogue.crawl": {"catalogue.register"},
        "catalogue.register": set(),
        "publish": set(),
    },
    "model_training": {"plan": {"train"}, "train": {"register"}, "register": set()},
    "model_evaluation": {
        "plan": {"evaluate", "mark_superseded", "gate", "approve"},
        "mark_superseded": set(),
        "evaluate": {"gate"},
        "gate": {"approve"},
        "approve": set(),
    },
    "model_deployment": {
        "plan": {"export", "smoke_test", "record_champion"},
        "export": {"define", "smoke_test", "record_deployment"},
        "define": {"rollout"},
        "rollout": {"smoke_test", "record_deployment", "record_champion"},
        "smoke_test": {"record_deployment"},
        "record_deployment": {"record_champion"},
        "record_champion": set(),
    },
}


@pytest.fixture(scope="module")
def dags() -> dict[str, Any]:
    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("a DAG file opened a connection while it was parsed")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        bag = DagBag(str(ROOT / "dags"))
    assert bag.import_errors == {}
    return dict(bag.dags)


def test_there_are_exactly_these_dags(dags: dict[str, Any]) -> None:
    assert set(dags) == set(STRUCTURE)


@pytest.mark.parametrize("dag_id", STRUCTURE)
def test_structure(dags: dict[str, Any], dag_id: str) -> None:
    assert {t.task_id: t.downstream_task_ids for t in dags[dag_id].tasks} == STRUCTURE[dag_id]


@pytest.mark.parametrize("dag_id", STRUCTURE)
def test_every_task_has_owner_retries_and_a_time_limit(dags: dict[str, Any], dag_id: str) -> None:
    for task in dags[dag_id].tasks:
        assert task.owner == "nexus-llm", task.task_id
        assert task.retries >= 1, task.task_id
        # Airflow counts the time of one try on a worker: a task that defers has a deadline of its own instead
        has_limit = isinstance(task.execution_timeout, timedelta)
        assert has_limit is not isinstance(task, DEFERRING), task.task_id


def test_whatever_may_defer_is_known_to_defer(dags: dict[str, Any]) -> None:
    for dag in dags.values():
        for task in dag.tasks:
            defers = "self.defer(" in inspect.getsource(sys.modules[type(task).__module__])
            ours = type(task).__module__.startswith("nexus_airflow")
            assert isinstance(task, DEFERRING) or not (ours and defers), task.task_id


@pytest.mark.parametrize("dag_id", STRUCTURE)
def test_no_backfill_runs_beside_max_active_runs(dags: dict[str, Any], dag_id: str) -> None:
    allowed = {kind.value for kind in dags[dag_id].allowed_run_types}
    assert "backfill" not in allowed
    assert {"manual", "scheduled", "asset_triggered"} <= allowed


@pytest.mark.parametrize("hours_after_the_tick", [0.1, 1, 16, 100])
def test_a_refresh_that_is_switched_on_waits_for_the_next_week(
    dags: dict[str, Any], monkeypatch: pytest.MonkeyPatch, hours_after_the_tick: float
) -> None:
    """Otherwise a run by hand, such as the demo's, would wait for the scheduled one on some days."""
    dag = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dags["corpus_refresh"]))
    sunday = datetime(2026, 11, 29, tzinfo=UTC)
    now = sunday + timedelta(hours=hours_after_the_tick)
    monkeypatch.setattr("airflow.timetables.trigger.utcnow", lambda: now)
    first = dag.timetable.next_dagrun_info(
        last_automated_data_interval=None, restriction=TimeRestriction(None, None, catchup=False)
    )
    assert first is not None
    assert first.run_after == sunday + timedelta(days=7)


@pytest.mark.parametrize("dag_id", STRUCTURE)
def test_every_dag_has_a_runbook_tags_and_a_time_limit(dags: dict[str, Any], dag_id: str) -> None:
    dag = dags[dag_id]
    assert "### What it does" in dag.doc_md
    assert "nexus-llm" in dag.tags
    assert dag.dagrun_timeout
    assert not dag.catchup


@pytest.mark.parametrize("dag_id", STRUCTURE)
def test_no_dag_waits_for_a_date_to_come(dags: dict[str, Any], dag_id: str) -> None:
    start = dags[dag_id].start_date
    assert start is None or start < datetime(2026, 11, 1, tzinfo=UTC)


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_a_run_that_waits_for_capacity_and_needs_its_longest_jobs_is_not_timed_out(
    environment: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = (ROOT / f"include/settings/{environment}.toml").read_text()
    path = tmp_path / "settings.toml"
    path.write_text(re.sub(r"capacity_wait_seconds = \S+", "capacity_wait_seconds = 604_800", text))
    monkeypatch.setenv("NEXUS_SETTINGS", str(path))
    settings = load_settings()
    dags: dict[str, Any] = dict(DagBag(str(ROOT / "dags")).dags)
    spark = max(engine.limit_seconds(settings) for engine in Engine)
    longest = {
        "corpus_refresh": [spark] * 3,
        "model_training": [28 * 24 * 3600 + QUEUE_SECONDS],
        "model_evaluation": [settings.processing.max_runtime_seconds + QUEUE_SECONDS],
        "model_deployment": [settings.processing.max_runtime_seconds + QUEUE_SECONDS],
    }
    for dag_id, jobs in longest.items():
        needed = sum(jobs) + len(jobs) * settings.airflow.capacity_wait_seconds
        assert dags[dag_id].dagrun_timeout > timedelta(seconds=needed), dag_id


def test_the_form_of_training_allows_no_longer_job_than_its_run(dags: dict[str, Any]) -> None:
    dag = dags["model_training"]
    for name in ("max_runtime_minutes", "max_wait_minutes"):
        longest = timedelta(minutes=dag.params.get_param(name).schema["maximum"])
        assert dag.dagrun_timeout > longest


@pytest.mark.parametrize("dag_id", STRUCTURE)
def test_every_param_is_typed_explained_and_has_a_valid_default(dags: dict[str, Any], dag_id: str) -> None:
    for name in dags[dag_id].params:
        param = dags[dag_id].params.get_param(name)
        assert isinstance(param, Param)
        schema = param.schema
        assert "type" in schema or "enum" in schema, name
        assert param.description and schema.get("section") and schema.get("title"), name
        param.resolve()  # the default: what a scheduled or asset run gets


@pytest.mark.parametrize("dag_id", STRUCTURE)
def test_the_form_can_be_sent_with_its_defaults(dags: dict[str, Any], dag_id: str) -> None:
    # the UI disables *Trigger* while a param that has a type other than null has an empty value
    for name in dags[dag_id].params:
        param = dags[dag_id].params.get_param(name)
        if param.value in ("", None):
            assert "null" in param.schema.get("type", ["null"]), name


def test_cluster_is_ended_whatever_happens_and_cannot_make_a_red_run_green(dags: dict[str, Any]) -> None:
    dag = dags["corpus_refresh"]
    assert dag.get_task("start_engine").is_setup
    terminate = dag.get_task("end_engine")
    assert terminate.is_teardown
    assert terminate.on_failure_fail_dagrun is False


def test_the_champion_is_recorded_whatever_happens_and_cannot_make_a_red_run_green(
    dags: dict[str, Any],
) -> None:
    recorded = dags["model_deployment"].get_task("record_champion")
    assert recorded.is_teardown
    assert recorded.on_failure_fail_dagrun is False


def test_no_server_sees_more_connections_than_the_strictest_source_allows(dags: dict[str, Any]) -> None:
    fetch = dags["source_ingestion"].get_task("fetch")
    allowed = [load_source(name).politeness.max_connections for name in source_names()]
    assert fetch.is_mapped
    assert fetch.max_active_tis_per_dag == min(allowed)


def test_what_is_refused_or_quarantined_is_not_fetched_again_by_a_retry(dags: dict[str, Any]) -> None:
    policy = dags["source_ingestion"].get_task("fetch").retry_policy

    def action(error: Exception) -> RetryAction:
        return policy.evaluate(error, 1, 3).action

    mismatch = ShardMismatch("wrong", where="x", expected="a", got="b")
    assert action(mismatch) is action(SourceRefused("no such file")) is RetryAction.FAIL
    assert action(SourceUnavailable("down")) is not RetryAction.FAIL


def test_assets_join_the_dags(dags: dict[str, Any]) -> None:
    outlets = {
        (dag_id, task.task_id): [asset.name for asset in task.outlets]
        for dag_id, dag in dags.items()
        for task in dag.tasks
        if task.outlets
    }
    assert outlets == {
        ("source_ingestion", "publish"): ["raw_shards"],
        ("corpus_refresh", "publish"): ["token_dataset"],
        ("model_training", "register"): ["candidate_model"],
        ("model_evaluation", "approve"): ["approved_model"],
    }
    inlets = {
        dag_id: [asset.name for asset in dag.schedule]
        for dag_id, dag in dags.items()
        if isinstance(dag.schedule, list)
    }
    assert inlets == {
        "model_training": ["token_dataset"],
        "model_evaluation": ["candidate_model"],
        "model_deployment": ["approved_model"],
    }


def test_what_the_gate_refuses_is_not_announced(dags: dict[str, Any]) -> None:
    approve = dags["model_evaluation"].get_task("approve")
    assert approve.trigger_rule == "all_success"
    assert "gate" in approve.upstream_task_ids


def _triggers() -> list[BaseTrigger]:
    from nexus_airflow.triggers.job import JobTrigger
    from nexus_airflow.triggers.new_shards import NewShardsTrigger
    from nexus_airflow.triggers.rollout import RolloutTrigger

    return [
        JobTrigger("training", "name-g1", "", 1.5, 1e9),
        JobTrigger("emr_step", "name-g1", "j-1", 30.0, 1e9),
        JobTrigger("emr_serverless", "name-g1", "application", 30.0, 1e9),
        JobTrigger("glue", "name-g1", "nexus-llm-clean", 30.0, 1e9),
        RolloutTrigger("cluster", "service", "arn:aws:ecs:x", 1.5, 1e9),
        NewShardsTrigger("s3://raw-bucket/pile/", "s3://b/corpus/latest/x.json", 300.0, 1e9),
    ]


@pytest.mark.parametrize("trigger", _triggers(), ids=lambda t: type(t).__name__)
def test_trigger_round_trips(trigger: BaseTrigger) -> None:
    path, arguments = trigger.serialize()
    module, _, name = path.rpartition(".")
    again = getattr(importlib.import_module(module), name)(**arguments)
    assert again.serialize() == (path, arguments)


def test_every_trigger_is_among_those() -> None:
    modules = {m.name for m in pkgutil.iter_modules(nexus_airflow.triggers.__path__)}
    assert modules == {type(t).__module__.rpartition(".")[2] for t in _triggers()}


def test_triggers_import_with_only_plugins_on_the_path(tmp_path: Path) -> None:
    """The triggerer never gets dags/ on its path; include/ travels at the root of plugins.zip."""
    layout = tmp_path / "plugins"
    layout.mkdir()
    (layout / "nexus_airflow").symlink_to(ROOT / "plugins" / "nexus_airflow")
    (layout / "include").symlink_to(ROOT / "include")
    names = [path.stem for path in (ROOT / "plugins/nexus_airflow/triggers").glob("[!_]*.py")]
    code = "; ".join(f"import nexus_airflow.triggers.{name}" for name in names)
    environment = {"PYTHONPATH": str(layout), "PYTHONSAFEPATH": "1", "AIRFLOW_HOME": str(tmp_path)}
    environment |= {"PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
