"""Values of a trigger form: the form or the plan refuses wrong ones, before anything is paid for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import ParamValidationError

from include.contracts.errors import ContractError, InputError
from include.contracts.manifests import ModelManifest, ParentRef
from include.contracts.records import canonical_json, to_plain
from include.contracts.storage import S3Uri
from include.object_store import ObjectStore
from nexus_airflow.params import checked_params
from nexus_airflow.tasks import corpus, deployment, evaluation, ingestion, training
from tests.dags.conftest import form, values
from tests.dags.models import CORPUS, Evaluation, approve, register

PLANS: dict[str, Any] = {
    "corpus_refresh": corpus.plan,
    "model_training": training.plan,
    "model_evaluation": evaluation.plan,
    "model_deployment": deployment.plan,
    "source_ingestion": ingestion.plan,
}


@pytest.mark.parametrize("dag_id", PLANS)
@pytest.mark.parametrize("unknown", ["dryrun", "Force", "manifest_url"])
def test_a_key_that_the_form_does_not_have_is_refused_by_the_plan(dag_id: str, unknown: str) -> None:
    dag = form(dag_id)
    run = SimpleNamespace(dag_id=dag_id, run_id="r")
    arguments: dict[str, Any] = {"params": values(dag, **{unknown: True}), "dag": dag}
    arguments |= {"ti": run} if dag_id == "corpus_refresh" else {"dag_run": run}
    with pytest.raises(
        InputError, match=rf"unknown param '{unknown}'.*expected only .*trigger the DAG again"
    ):
        PLANS[dag_id].function(**arguments)


def integers() -> list[tuple[str, str]]:
    return [
        (dag_id, name)
        for dag_id in PLANS
        for name in form(dag_id).params
        if "integer" in str(form(dag_id).params.get_param(name).schema.get("type"))
    ]


@pytest.mark.parametrize(("dag_id", "name"), integers())
def test_a_whole_number_with_a_point_becomes_an_integer_and_another_one_is_refused(
    dag_id: str, name: str
) -> None:
    dag = form(dag_id)
    checked = checked_params(values(dag, **{name: 60.0}), dag)
    assert checked[name] == 60 and isinstance(checked[name], int)
    with pytest.raises(ParamValidationError):
        dag.params.get_param(name).resolve(60.5)


@pytest.mark.parametrize(
    ("dag_id", "name"),
    [
        ("model_training", "base_model_uri"),
        ("model_deployment", "manifest_uri"),
        ("source_ingestion", "target_prefix"),
    ],
)
def test_a_text_field_that_was_emptied_counts_as_empty_text(dag_id: str, name: str) -> None:
    dag = form(dag_id)
    assert dag.params.get_param(name).resolve(None) is None
    assert checked_params(values(dag, **{name: None}), dag)[name] == ""


def patterns() -> list[tuple[str, str]]:
    return [
        (dag_id, name)
        for dag_id in PLANS
        for name in form(dag_id).params
        if "pattern" in form(dag_id).params.get_param(name).schema
    ]


VALID = {
    "source_uri": "s3://nexus-llm-raw/pile/",
    "manifest_uri": "s3://nexus-llm-models/runs/r/model/manifest.json",
    "manifest_sha256": "a" * 64,
    "base_model_uri": "s3://nexus-llm-models/base/",
    "target_prefix": "pile/",
}


@pytest.mark.parametrize(("dag_id", "name"), patterns())
def test_an_address_matches_up_to_its_very_end(dag_id: str, name: str) -> None:
    param = form(dag_id).params.get_param(name)
    assert param.resolve(VALID[name]) == VALID[name]
    for after in ("\n", "\r\n", "\t", " \n", "\x00"):
        with pytest.raises(ParamValidationError):
            param.resolve(VALID[name] + after)
    with pytest.raises(ParamValidationError):
        param.resolve("\n" + VALID[name])


def test_every_pattern_is_among_those() -> None:
    assert {name for _, name in patterns()} == set(VALID)


@pytest.mark.parametrize(
    ("files", "found"), [([], "nothing"), (["config.json"], "config.json"), (["model.bin"], "model.bin")]
)
def test_a_base_model_that_does_not_exist_is_refused_by_the_plan(
    aws: Any, whole_corpus: Any, settings_file: Any, files: list[str], found: str, task: Any
) -> None:
    _, corpus_manifest = whole_corpus
    aws.client("s3").create_bucket(Bucket=settings_file.storage.models_bucket)
    base = S3Uri(settings_file.storage.models_bucket, f"bases/{task.name}/")
    for file in files:
        ObjectStore().write(base / file, b"{}")
    dag, run = form("model_training"), SimpleNamespace(dag_id="model_training", run_id="r")
    params = values(dag, manifest_uri=corpus_manifest.uri, base_model_uri=str(base))
    with pytest.raises(InputError, match=rf"no base model.*model\.|no base model.*got {found}"):
        training.plan.function(params=params, dag=dag, dag_run=run)


def test_a_base_model_in_shards_is_accepted_and_minutes_reach_the_request_as_integers(
    aws: Any, whole_corpus: Any, settings_file: Any, task: Any
) -> None:
    aws.client("s3").create_bucket(Bucket=settings_file.storage.models_bucket)
    base = S3Uri(settings_file.storage.models_bucket, f"bases/{task.name}/")
    for file in ("config.json", "tokenizer.json", "model-00001-of-00001.safetensors"):
        ObjectStore().write(base / file, b"{}")
    index = b'{"metadata": {}, "weight_map": {"lm_head.weight": "model-00001-of-00001.safetensors"}}'
    ObjectStore().write(base / "model.safetensors.index.json", index)
    dag, run = form("model_training"), SimpleNamespace(dag_id="model_training", run_id="r")
    params = values(dag, manifest_uri=whole_corpus[1].uri, base_model_uri=str(base), max_runtime_minutes=60.0)
    stopping = training.plan.function(params=params, dag=dag, dag_run=run)["job"]["request"][
        "StoppingCondition"
    ]
    assert stopping["MaxRuntimeInSeconds"] == 3600 and isinstance(stopping["MaxRuntimeInSeconds"], int)


@pytest.mark.parametrize(
    ("dag_id", "name", "value"),
    [
        (
            "corpus_refresh",
            "recipe_overrides",
            {"signals": {"bounds": [{"name": "x", "minimum": float("nan")}]}},
        ),
        ("corpus_refresh", "recipe_overrides", {"tokenizer": {"end_of_text": "\ud800"}}),
        ("corpus_refresh", "source_uri", "s3://nexus-llm-raw/\ud800/"),
        ("model_training", "recipe_overrides", {"steps": 10**400}),
        ("model_training", "base_model_uri", "s3://nexus-llm-models/\0/"),
        ("model_evaluation", "gate_overrides", {"margin_nats": float("inf")}),
        ("model_deployment", "smoke_prompt", "\ud800"),
        ("source_ingestion", "select", {"language": [["\0"]]}),
    ],
)
def test_a_value_that_json_or_aws_cannot_hold_is_refused_by_the_plan(
    dag_id: str, name: str, value: Any
) -> None:
    dag = form(dag_id)
    dag.params.get_param(name).resolve(value)  # the form takes it
    with pytest.raises(InputError, match=rf"^param {name}.*: the value cannot be used; expected"):
        checked_params(values(dag, **{name: value}), dag)


def test_a_smoke_test_that_the_server_must_refuse_is_refused_by_the_plan(registry: Any) -> None:
    approve(registry, register(registry, "small"))  # its context has 256 tokens
    dag, run = form("model_deployment"), SimpleNamespace(dag_id="model_deployment", run_id="r")
    with pytest.raises(
        InputError, match=r"smoke_tokens: .*longer than the model's context; expected fewer than 256"
    ):
        deployment.plan.function(params=values(dag, smoke_tokens=256), dag=dag, dag_run=run)
    planned = deployment.plan.function(params=values(dag, smoke_tokens=255), dag=dag, dag_run=run)
    assert planned["smoke"]["tokens"] == 255


@pytest.mark.parametrize("run_name", ["../../other", "a/b", "", "-x"], ids=range(4))
def test_a_model_whose_run_is_no_name_is_refused_before_it_is_registered(
    registry: Any, task: Any, run_name: str
) -> None:
    uri = S3Uri("nexus-llm-models", f"elsewhere/{task.name}/manifest.json")
    plain = to_plain(ModelManifest("safetensors", "r", 1, CORPUS, CORPUS, 1, 256, ())) | {"run": run_name}
    ObjectStore().write(uri, canonical_json(plain))
    with pytest.raises(ContractError, match="not the name of a run"):
        Evaluation(registry, task).plan(manifest_uri=str(uri))
    assert registry.newest_candidate() is None


def test_a_model_whose_corpus_is_a_file_of_the_job_is_refused_by_the_plan(registry: Any, task: Any) -> None:
    uri = S3Uri("nexus-llm-models", f"elsewhere/{task.name}/manifest.json")
    corpus_on_disk = ParentRef("/etc/passwd", "c" * 64)
    ObjectStore().write_record(uri, ModelManifest("safetensors", "r", 1, CORPUS, corpus_on_disk, 1, 256, ()))
    with pytest.raises(ContractError, match="'/etc/passwd': not an S3 URI"):
        Evaluation(registry, task).plan(manifest_uri=str(uri))
