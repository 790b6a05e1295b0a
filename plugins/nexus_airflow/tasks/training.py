"""Tasks of model_training."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airflow.sdk import Metadata, task

from include.contracts.manifests import ModelManifest, ParentRef, TrainingRequest
from include.contracts.records import canonical_json, content_hash, to_plain
from include.contracts.storage import RunLayout, S3Uri
from include.recipes.training import OPERATION_FIELDS, TrainingRecipe
from include.settings import load_settings
from nexus_airflow.assets import candidate_model, choose_manifest, extra_of, token_dataset
from nexus_airflow.identity import run_identity
from nexus_airflow.params import checked_params

if TYPE_CHECKING:
    from include.aws.training import TrainingLimits

log = logging.getLogger(__name__)


@task
def plan(
    *, params: Any = None, dag: Any = None, dag_run: Any = None, triggering_asset_events: Any = None
) -> dict[str, Any]:
    """Resolve corpus, recipe and limits, and write the training request.

    XCom: `corpus` and how it was chosen, the run, and `job`.
    """
    from include.aws.training import training_job
    from include.checks.manifests import require_base_model, verify_corpus
    from include.object_store import ObjectStore
    from include.planning.published import newest_manifest
    from include.recipes.overrides import chosen_recipe

    settings, values = load_settings(), checked_params(params, dag)
    choice = choose_manifest(
        values, triggering_asset_events, token_dataset, lambda: newest_manifest(settings)
    )
    corpus, reference = verify_corpus(S3Uri.parse(choice.manifest.uri), choice.manifest.sha256)
    name, base = values["recipe"] or settings.training.recipe, values["base_model_uri"] or ""
    recipe = chosen_recipe(TrainingRecipe, "trainings", name, values["recipe_overrides"])
    if base:
        require_base_model(S3Uri.parse(base))
    limits = _limits(values)
    run = f"{run_identity(dag_run).name}-{_what_is_trained(recipe, reference, base)[:8]}"
    layout = RunLayout.of(settings.storage.models_bucket, run)
    request = TrainingRequest(run, str(layout.root), reference, to_plain(recipe), base)
    written = ObjectStore().write_record(layout.request, request)
    log.info("run %s: recipe %s, corpus %s (%s tokens)", run, name, corpus.version, corpus.tokens)
    return {
        "corpus": to_plain(reference),
        "chosen_by": choice.chosen_by,
        "superseded": list(choice.superseded),
        "run": run,
        "run_root": str(layout.root),
        "job": to_plain(training_job(settings, request, written, corpus, limits)),
    }


@task
def register(trained: dict[str, Any]) -> Any:
    """Register the candidate, pending, and announce it."""
    from include.aws.registry import ModelRegistry
    from include.object_store import ObjectStore

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


def _limits(values: Mapping[str, Any]) -> TrainingLimits:
    from include.aws.training import TrainingLimits

    training = load_settings().training
    runtime, wait = values["max_runtime_minutes"], values["max_wait_minutes"]
    runtime_seconds = runtime * 60 if runtime else training.max_runtime_seconds
    return TrainingLimits(
        spot=training.spot if values["spot"] is None else values["spot"],
        max_runtime_seconds=runtime_seconds,
        max_wait_seconds=wait * 60 if wait else max(training.max_wait_seconds, runtime_seconds),
    )


def _what_is_trained(recipe: TrainingRecipe, corpus: ParentRef, base_model_uri: str) -> str:
    """Return a hash of what a run's checkpoints depend on: another training gets another folder.

    A field that has its default does not count, so that a release that adds one changes no hash.
    """
    chosen = _differences(asdict(recipe), asdict(TrainingRecipe(recipe.name)))
    fixed = {name: value for name, value in chosen.items() if name not in OPERATION_FIELDS}
    return content_hash(canonical_json([fixed, corpus.sha256, base_model_uri]))


def _differences(values: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """Return the values that are not the defaults, section by section."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        default = defaults.get(name)
        if isinstance(value, dict) and isinstance(default, dict) and default:
            if section := _differences(value, default):
                found[name] = section
        elif value != default:
            found[name] = value
    return found
