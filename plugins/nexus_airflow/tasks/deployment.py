"""Tasks of model_deployment."""

from __future__ import annotations

import logging
import time
from typing import Any

from airflow.sdk.exceptions import AirflowFailException

from include.aws.ecs import task_definition
from include.aws.processing import export_job
from include.aws.registry import ModelRegistry
from include.aws.rollouts import Rollouts
from include.checks.endpoint import EndpointFailed, ask
from include.contracts.job_names import run_name
from include.contracts.manifests import DeploymentManifest, ModelManifest, ParentRef
from include.contracts.records import to_plain
from include.contracts.storage import RunLayout, S3Uri
from include.object_store import ObjectStore
from include.settings import load_settings
from nexus_airflow.assets import approved_model, chosen_manifest

log = logging.getLogger(__name__)


_SMOKE_ATTEMPTS, _SMOKE_PAUSE_SECONDS = 3, 2.0


def plan(*, params: Any = None, dag_run: Any = None, triggering_asset_events: Any = None) -> dict[str, Any]:
    """Resolve the approved model; build the export's request.

    A model is converted once, into a folder named by its manifest; `force` gives this run one of its own.
    """
    settings = load_settings()
    chosen = chosen_manifest(params, triggering_asset_events, approved_model)
    uri = S3Uri.parse(chosen.uri)
    model, reference = ObjectStore().referenced_record(ModelManifest, uri, chosen.sha256)
    place = RunLayout.of(settings.storage.models_bucket, model.run)
    ModelRegistry(settings).require_approved(reference)
    name = run_name(dag_run.dag_id, dag_run.run_id) if params["force"] else reference.sha256[:16]
    folder = place.serving_models / f"{name}/"
    log.info("deploying run %s, step %s", model.run, model.step)
    return {
        "model": to_plain(reference),
        "run": model.run,
        "serving_manifest_uri": str(folder / "manifest.json"),
        "export_job": export_job(settings, reference, folder),
    }


def define(exported: dict[str, str]) -> dict[str, Any]:
    """The task definition that serves exactly the exported manifest."""
    manifest = ParentRef(exported["manifest_uri"], exported["manifest_sha256"])
    return task_definition(load_settings(), manifest)


def smoke_test(exported: dict[str, str], rollout: dict[str, Any], *, params: Any = None) -> dict[str, Any]:
    """One completion through the load balancer, by the very model that was exported.

    A revision that is healthy but does not answer so is taken back: the former one is rolled out again.
    """
    for attempt in range(1, _SMOKE_ATTEMPTS + 1):
        try:
            return _answer(exported, rollout, params)
        except EndpointFailed as error:
            log.warning("attempt %s of %s: %s", attempt, _SMOKE_ATTEMPTS, error)
            failure = error
            time.sleep(_SMOKE_PAUSE_SECONDS if attempt < _SMOKE_ATTEMPTS else 0)
    raise AirflowFailException(f"{failure}; {_take_back(rollout)}") from failure


def _answer(exported: dict[str, str], rollout: dict[str, Any], params: Any) -> dict[str, Any]:
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


def _take_back(rollout: dict[str, Any]) -> str:
    """Roll the former task definition out again, unless the service has moved on; says what was done."""
    settings = load_settings()
    rollouts = Rollouts(settings.serving.cluster, settings.serving.service)
    previous = rollout["previous_task_definition"]
    if not previous:
        return "there is no former revision to go back to: this one serves on"
    if rollouts.serving() != rollout["task_definition"]:
        return "the service has another revision by now: nothing was taken back"
    rollouts.start(settings, previous)
    return f"the service goes back to {previous.rpartition('/')[2]}"


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
