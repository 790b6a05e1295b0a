"""Tasks of model_training."""

from __future__ import annotations

import logging
from typing import Any

from airflow.sdk import Metadata

from include.aws.registry import ModelRegistry
from include.aws.training import TrainingLimits, training_job
from include.checks.manifests import verify_corpus
from include.contracts.job_names import run_name
from include.contracts.manifests import ModelManifest, ParentRef, TrainingRequest
from include.contracts.records import to_plain
from include.contracts.storage import RunLayout, S3Uri
from include.object_store import ObjectStore
from include.recipes.overrides import chosen_recipe
from include.recipes.training import TrainingRecipe
from include.settings import load_settings
from nexus_airflow.assets import candidate_model, chosen_manifest, extra_of, token_dataset

log = logging.getLogger(__name__)


def plan(*, params: Any = None, dag_run: Any = None, triggering_asset_events: Any = None) -> dict[str, Any]:
    """Resolve corpus, recipe and limits; write the TrainingRequest; build the job's request."""
    settings = load_settings()
    chosen = chosen_manifest(params, triggering_asset_events, token_dataset)
    corpus, reference = verify_corpus(S3Uri.parse(chosen.uri), chosen.sha256)
    name = params["recipe"] or settings.training.recipe
    recipe = chosen_recipe(TrainingRecipe, "trainings", name, params["recipe_overrides"])
    run = run_name(dag_run.dag_id, dag_run.run_id)
    place = RunLayout.of(settings.storage.models_bucket, run)
    request = TrainingRequest(
        run, str(place.root), reference, to_plain(recipe), params["base_model_uri"] or ""
    )
    ObjectStore().write_record(place.request, request)
    limits = _limits(params)
    log.info("run %s: recipe %s, corpus %s (%s tokens)", run, name, corpus.version, corpus.tokens)
    return {
        "run": run,
        "run_root": str(place.root),
        "job": training_job(settings, request, corpus, limits),
    }


def _limits(params: Any) -> TrainingLimits:
    training = load_settings().training
    runtime = params["max_runtime_minutes"]
    wait = params["max_wait_minutes"]
    runtime_seconds = runtime * 60 if runtime else training.max_runtime_seconds
    return TrainingLimits(
        spot=training.spot if params["spot"] is None else params["spot"],
        max_runtime_seconds=runtime_seconds,
        max_wait_seconds=wait * 60 if wait else max(training.max_wait_seconds, runtime_seconds),
    )


def register(trained: dict[str, Any]) -> Any:
    """Put the candidate into the registry, pending, and announce it."""
    manifest = ParentRef(trained["manifest_uri"], trained["manifest_sha256"])
    model = ObjectStore().read_record(ModelManifest, S3Uri.parse(manifest.uri), manifest.sha256)
    report = trained["report"]
    metadata = {
        "loss_last": f"{report['loss_last']:.4f}",
        "tokens_seen": str(report["tokens_seen"]),
        "billable_seconds": str(trained.get("billable_seconds", "")),
        "interruptions": str(trained.get("interruptions", "")),
    }
    package = ModelRegistry(load_settings()).register(model, manifest, metadata)
    log.info("registered %s as %s", package.arn, package.status)
    yield Metadata(candidate_model, extra=extra_of(manifest, package_arn=package.arn, run=model.run))
