"""Tasks of model_deployment."""

from __future__ import annotations

import logging
from typing import Any

from include.aws.ecs import task_definition
from include.aws.processing import export_job
from include.aws.registry import ModelRegistry
from include.aws.smoke import EndpointFailed, ask
from include.aws.storage import ObjectStore
from include.contracts.manifests import DeploymentManifest, ModelManifest, ParentRef
from include.contracts.records import to_plain
from include.contracts.storage import RunPlace, S3Uri
from include.settings import load_settings
from nexus_airflow.assets import approved_model, chosen_manifest

log = logging.getLogger(__name__)


def plan(*, params: Any = None, triggering_asset_events: Any = None) -> dict[str, Any]:
    """Resolve the approved model; build the export's request."""
    settings = load_settings()
    chosen = chosen_manifest(params, triggering_asset_events, approved_model)
    store = ObjectStore()
    uri = S3Uri.parse(chosen.uri)
    model = store.read_record(ModelManifest, uri, chosen.sha256)
    reference = store.reference(uri)
    place = RunPlace.of(settings.storage.models_bucket, model.run)
    ModelRegistry(settings).require_approved(reference)
    log.info("deploying run %s, step %s", model.run, model.step)
    return {
        "model": to_plain(reference),
        "run": model.run,
        "serving_manifest_uri": str(place.serving_model / "manifest.json"),
        "export_job": export_job(settings, reference, place.serving_model),
    }


def define(exported: dict[str, str]) -> dict[str, Any]:
    """The task definition that serves exactly the exported manifest."""
    manifest = ParentRef(exported["manifest_uri"], exported["manifest_sha256"])
    return task_definition(load_settings(), manifest)


def smoke_test(exported: dict[str, str], rollout: dict[str, Any], *, params: Any = None) -> dict[str, Any]:
    """One completion through the load balancer, by the very model that was exported."""
    answer = ask(rollout["endpoint"], params["smoke_prompt"], params["smoke_tokens"])
    if answer["manifest_sha256"] != exported["manifest_sha256"]:
        raise EndpointFailed(
            "another model answers",
            where=rollout["endpoint"],
            expected=f"manifest {exported['manifest_sha256']}",
            got=f"{answer['model']}, manifest {answer['manifest_sha256'] or 'unknown'}",
            remedy="look at the service's deployments: something else rolled it out at the same time",
        )
    log.info("%s -> %r", params["smoke_prompt"], answer["text"])
    return answer


def record_deployment(exported: dict[str, str], rollout: dict[str, Any]) -> str:
    """Write the DeploymentManifest; returns its URI."""
    settings = load_settings()
    manifest = DeploymentManifest(
        service=settings.serving.service,
        deployment_id=rollout["deployment_id"],
        revision=rollout["revision"],
        endpoint=rollout["endpoint"],
        model=ParentRef(exported["manifest_uri"], exported["manifest_sha256"]),
    )
    name = rollout["deployment_id"].rpartition("/")[2]
    key = f"deployments/{settings.serving.service}/{name}/manifest.json"
    reference = ObjectStore().write_record(S3Uri(settings.storage.models_bucket, key), manifest)
    return reference.uri
