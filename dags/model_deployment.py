"""model_deployment: deploy an approved model behind the load balancer, or keep the old one."""

from __future__ import annotations

from datetime import datetime

from airflow.sdk import Param, dag

from include.aws.processing import processing_limit_seconds
from include.settings import load_settings
from nexus_airflow.assets import approved_model
from nexus_airflow.defaults import RUN_TYPES, default_args, run_limit
from nexus_airflow.operators.ecs_rollout import EcsServiceRolloutOperator
from nexus_airflow.operators.processing import SageMakerProcessingOperator
from nexus_airflow.params import manifest_params
from nexus_airflow.sensors.champion import ChampionSensor
from nexus_airflow.tasks import deployment

DOC = """
### What it does
It converts the approved model for the server (once per model), registers a task definition that
serves exactly this manifest, and updates the ECS service. Both revisions answer during the rollout. ECS rolls
back a new revision that does not become healthy, and the old one answers all the time. At the end, a
completion through the load balancer tests the new revision, and a deployment manifest records the result.

Links to the job, its log and reports are in the tab *Details* of a task, XComs in *Storage*.

### Start it by hand
*Trigger* with the defaults deploys the champion: the model that was approved or rolled back to last. The
XCom `chosen_by` of `plan` shows where the model came from.

### When `rollout` is red
Fix the cause and clear the task, or deploy another model. The error says which revision serves now, and gives
ECS's reason. *ECS service* opens the deployment, its stopped tasks and their logs. If you mark the task
failed during the rollout, the new revision is rolled back. If somebody deleted the service, a retry does not
create it again; clear the task to do so.

### When `smoke_test` is red
Read the log of the new revision's tasks before you deploy it again. The new revision is healthy, but returned
no completion, or that of another model. The service is rolled back to the former revision; the error says
whether that has succeeded. The first revision of a service keeps serving, because there is no former one.

### Roll back by hand
Trigger this DAG with `manifest_uri` of an earlier approved model. It becomes the champion, against which the
next candidate is judged.

### Which model is the champion after a failure
`record_champion` runs at the end, also after a failure, once the service is steady. If the model of this run
is the champion and does not serve, the approved model that serves becomes the champion. Clear the failed
task with *Downstream*: if it succeeds, the model of this run is the champion again, unless another one was
approved in the meantime. A new run with the defaults deploys the champion, so give `manifest_uri` to try this
model again.
"""

settings = load_settings()
PARAMS = {
    **manifest_params(
        approved_model,
        "Model manifest",
        "s3://…/runs/<run>/model/manifest.json",
        "the champion: the model that was approved last",
    ),
    "smoke_prompt": Param(
        "def main(",
        type="string",
        minLength=1,
        maxLength=2000,
        title="Prompt",
        description="The prompt of the smoke test after the rollout",
        section="Smoke test",
    ),
    "smoke_tokens": Param(
        16,
        type="integer",
        minimum=1,
        maximum=256,
        title="Tokens",
        description="Length of the completion in tokens",
        section="Smoke test",
    ),
    "force": Param(
        False,
        type="boolean",
        title="Export again",
        description="Convert the model again, into a new folder",
        section="Export",
    ),
}


@dag(
    dag_id="model_deployment",
    schedule=[approved_model],
    start_date=datetime(2026, 1, 1),
    catchup=False,
    allowed_run_types=RUN_TYPES,
    max_active_runs=1,
    default_args=default_args(),
    dagrun_timeout=run_limit(processing_limit_seconds(settings), settings.serving.rollout_timeout_seconds),
    params=PARAMS,
    doc_md=DOC,
    tags=["deployment", "ecs", "nexus-llm"],
    description="Deploy an approved model behind the load balancer, or keep the old one",
)
def model_deployment() -> None:
    """Wire the tasks."""
    planned = deployment.plan()
    export = SageMakerProcessingOperator(
        task_id="export",
        job=planned["job"],
        doc_md="Convert the model for the server; a complete conversion that exists is reused.",
    )
    rollout = EcsServiceRolloutOperator(
        task_id="rollout",
        task_definition=deployment.define(export.output),
        doc_md="Wait for this deployment. A rollback fails the task, with the reason.",
    )
    answered = deployment.smoke_test(planned, export.output, rollout.output)
    recorded = deployment.record_deployment(export.output, rollout.output)
    champion = ChampionSensor(
        task_id="record_champion",
        planned=planned,
        rollout=rollout.output,
        doc_md="Make the model that serves the champion, also after a failure.",
    )
    answered >> recorded >> champion.as_teardown()


model_deployment()
