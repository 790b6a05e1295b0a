"""Tasks of model_deployment."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from airflow.sdk import task
from airflow.sdk.exceptions import AirflowFailException

from include.contracts.errors import NexusError
from include.contracts.manifests import DeploymentManifest, ModelManifest, ParentRef
from include.contracts.records import content_hash, to_plain
from include.contracts.storage import RunLayout, S3Uri
from include.settings import load_settings
from nexus_airflow.assets import approved_model, choose_manifest
from nexus_airflow.identity import run_identity
from nexus_airflow.params import checked_params

if TYPE_CHECKING:
    from include.aws.registry import ModelRegistry
    from include.aws.rollouts import Rollouts

log = logging.getLogger(__name__)

_SMOKE_ATTEMPTS, _SMOKE_PAUSE_SECONDS = 3, 2.0


@task
def plan(
    *, params: Any = None, dag: Any = None, dag_run: Any = None, triggering_asset_events: Any = None
) -> dict[str, Any]:
    """Resolve the approved model and build the export's request.

    XCom: `model` and how it was chosen, `superseded` models, and `job`. A model is converted once by each
    export image, into a folder of that name; `force` makes a separate folder for this run.
    """
    from include.aws.processing import export_job
    from include.object_store import ObjectStore

    settings, values, registry = load_settings(), checked_params(params, dag), _registry()

    def newest() -> ParentRef | None:
        champion = registry.champion()
        return champion.manifest if champion else None

    choice = choose_manifest(values, triggering_asset_events, approved_model, newest)
    uri = S3Uri.parse(choice.manifest.uri)
    model, reference = ObjectStore().referenced_record(ModelManifest, uri, choice.manifest.sha256)
    package = registry.require_approved(reference)
    by_image = f"{reference.sha256[:16]}-{content_hash(settings.images.export.encode())[:8]}"
    name = run_identity(dag_run).name if values["force"] else by_image
    layout = RunLayout.of(settings.storage.models_bucket, model.run)
    job = export_job(settings, reference, layout.serving_models / f"{name}/", force=values["force"])
    log.info("deploying run %s, step %s", model.run, model.step)
    return {
        "model": to_plain(reference),
        "chosen_by": choice.chosen_by,
        "is_by_hand": choice.is_by_hand,
        "superseded": list(choice.superseded),
        "package_arn": package.arn,
        "run": model.run,
        "smoke": {"prompt": values["smoke_prompt"], "tokens": values["smoke_tokens"]},
        "job": to_plain(job),
    }


@task
def define(exported: dict[str, str]) -> dict[str, Any]:
    """Build the task definition that serves exactly the exported manifest."""
    from include.aws.ecs import task_definition

    manifest = ParentRef(exported["manifest_uri"], exported["manifest_sha256"])
    return task_definition(load_settings(), manifest)


@task
def smoke_test(planned: dict[str, Any], exported: dict[str, str], rollout: dict[str, Any]) -> dict[str, Any]:
    """Request one completion through the load balancer, and check that the exported model returned it.

    If it did not, the service is rolled back to the former revision.
    """
    from include.checks.endpoint import EndpointFailed

    for attempt in range(1, _SMOKE_ATTEMPTS + 1):
        try:
            return _answer(exported, rollout, planned["smoke"])
        except EndpointFailed as error:
            log.warning("attempt %s of %s: %s", attempt, _SMOKE_ATTEMPTS, error)
            failure = error
            time.sleep(_SMOKE_PAUSE_SECONDS if attempt < _SMOKE_ATTEMPTS else 0)
    raise AirflowFailException(f"{failure}; {_roll_back(rollout)}") from failure


@task
def record_deployment(planned: dict[str, Any], exported: dict[str, str], rollout: dict[str, Any]) -> str:
    """Write the deployment manifest and return its URI.

    A model that was deployed by hand becomes the champion: that is how an operator rolls back.
    """
    from include.object_store import ObjectStore

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
    if planned["is_by_hand"]:
        _registry().note_champion(planned["package_arn"])
    return reference.uri


def _answer(exported: dict[str, str], rollout: dict[str, Any], smoke: dict[str, Any]) -> dict[str, Any]:
    from include.checks.endpoint import EndpointFailed, ask

    answer = ask(rollout["endpoint"], smoke["prompt"], smoke["tokens"])
    if answer["manifest_sha256"] != exported["manifest_sha256"]:
        raise EndpointFailed(
            "another model answers",
            where=rollout["endpoint"],
            expected=f"manifest {exported['manifest_sha256']}",
            got=f"{answer['model']}, manifest {answer['manifest_sha256'] or 'unknown'}",
            remedy="look at the service's deployments: another one was started at the same time",
        )
    log.info("%s -> %r", smoke["prompt"], answer["text"])
    return answer


def _roll_back(rollout: dict[str, Any]) -> str:
    """Roll out the former task definition, unless the service has a newer one. Describe the result."""
    settings, rollouts = load_settings(), _rollouts()
    previous = rollout["previous_task_definition"]
    serving = rollouts.target()
    if not serving:
        return "the service was deleted, so no model is served"
    if serving != rollout["task_definition"]:
        return "the service has another revision by now: nothing was rolled back"
    if not previous:
        return "there is no former revision to roll back to, so this one keeps serving"
    rollouts.start(settings, previous)
    _note_rolled_back_to(rollouts.model_of(previous))
    return f"the service is rolled back to {previous.rpartition('/')[2]}"


def _note_rolled_back_to(served: ParentRef | None) -> None:
    """Make the model that is served again the champion, if it was converted from an approved model."""
    from include.aws.registry import APPROVED
    from include.object_store import ObjectStore

    if served is None:
        return
    try:
        converted = ObjectStore().read_record(ModelManifest, S3Uri.parse(served.uri), served.sha256)
        package = _registry().find(converted.parent)
        if package is not None and package.status == APPROVED:
            _registry().note_champion(package.arn)
    except NexusError as error:  # the rollback has succeeded, so its message must not be lost
        log.warning("the champion could not be recorded: %s", error)


def _rollouts() -> Rollouts:
    from include.aws.rollouts import Rollouts

    serving = load_settings().serving
    return Rollouts(serving.cluster, serving.service)


def _registry() -> ModelRegistry:
    from include.aws.registry import ModelRegistry

    return ModelRegistry(load_settings())
