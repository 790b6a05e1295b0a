"""Tasks of model_deployment."""

from __future__ import annotations

import logging
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import task
from airflow.sdk.exceptions import AirflowFailException

from include.contracts.errors import InputError
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
#: How long the smoke test waits for a rollback. With its requests it stays within ``execution_timeout``.
_ROLLBACK_WAIT_SECONDS = 300.0


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
    _require_room(values["smoke_tokens"], model)
    by_image = f"{reference.sha256[:16]}-{content_hash(settings.images.export.encode())[:8]}"
    name = run_identity(dag_run).name if values["force"] else by_image
    layout = RunLayout.of(settings.storage.models_bucket, model.run)
    job = export_job(settings, reference, layout.serving_models / f"{name}/", force=values["force"])
    log.info("deploying run %s, step %s", model.run, model.step)
    return {
        "model": to_plain(reference),
        "chosen_by": choice.chosen_by,
        "is_chosen_by_a_person": choice.is_chosen_by_a_person,
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

    If it did not, the service is rolled back to the former revision. The error describes the result.
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
def record_deployment(exported: dict[str, str], rollout: dict[str, Any]) -> str:
    """Write the deployment manifest and return its URI."""
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
    return ObjectStore().write_record(S3Uri(settings.storage.models_bucket, key), manifest).uri


def _require_room(smoke_tokens: int, model: ModelManifest) -> None:
    """Raise InputError for a smoke test that the server must refuse: it would roll a good model back."""
    if smoke_tokens >= model.context_length:
        raise InputError(
            "the completion of the smoke test is longer than the model's context",
            where="param smoke_tokens",
            expected=f"fewer than {model.context_length}, with room for the prompt",
            got=str(smoke_tokens),
            remedy="trigger the DAG again with fewer tokens",
        )


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
    log.info("%r -> %r", smoke["prompt"], answer["text"])
    return answer


def _roll_back(rollout: dict[str, Any]) -> str:
    """Roll out the former task definition, unless the service has a newer one. Describe the result."""
    settings, rollouts = load_settings(), _rollouts()
    own, previous = rollout["task_definition"], rollout["previous_task_definition"]
    target = rollouts.target()
    if not target:
        return "the service was deleted, so no model is served"
    if target not in (own, previous):
        return "the service has another revision by now: nothing was rolled back"
    if not previous:
        return "there is no former revision to roll back to, so this one keeps serving"
    began = rollouts.look(rollout["deployment_id"]).raw["createdAt"]
    if target == own:  # otherwise an earlier try has started the rollback
        rollouts.start(settings, previous, may_create=False)
    return _end_of_rollback(rollouts, previous, began)


def _end_of_rollback(rollouts: Rollouts, previous: str, began: datetime) -> str:
    """Wait some minutes for the deployment of ``previous`` after ``began``. Describe its state."""
    from include.aws.rollouts import RolloutState

    name = previous.rpartition("/")[2]
    deadline = time.monotonic() + _ROLLBACK_WAIT_SECONDS
    while True:
        deployment = rollouts.deployment_of(previous, began)
        view = rollouts.look(deployment) if deployment else None
        if view is not None and view.state is not RolloutState.ACTIVE:
            is_done = view.state is RolloutState.SUCCESSFUL
            failure = f"the rollback to {name} failed ({view.status}): {view.reason}"
            return f"the service was rolled back to {name}" if is_done else failure
        if time.monotonic() > deadline:
            return f"a rollback to {name} was started and is still in progress"
        time.sleep(load_settings().airflow.poll_interval_seconds)


def _rollouts() -> Rollouts:
    from include.aws.rollouts import Rollouts

    serving = load_settings().serving
    return Rollouts(serving.cluster, serving.service)


def _registry() -> ModelRegistry:
    from include.aws.registry import ModelRegistry

    return ModelRegistry(load_settings())
