"""model_deployment: an approved model goes behind the load balancer, or the old one stays."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import Param, dag

from nexus_airflow.assets import approved_model
from nexus_airflow.defaults import RUN_TYPES, default_args
from nexus_airflow.operators.ecs_rollout import EcsServiceRolloutOperator
from nexus_airflow.operators.processing import SageMakerProcessingOperator
from nexus_airflow.params import manifest_params
from nexus_airflow.tasks import deployment

DOC = """
### What it does
Converts the approved model for the server (once per model), registers a task definition that serves
exactly this manifest, and rolls the ECS service over. Both revisions answer while it rolls. A new revision
that does not become healthy is rolled back by ECS; the old one answers throughout. A completion through the
load balancer proves the end, and a deployment manifest records it.

### Start it by hand
*Trigger* with the defaults deploys the champion: the model that was approved or rolled back to last. The
XCom `chosen_by` of `plan` shows where the model came from.

### When `rollout` is red
The error says which revision serves now, and ECS's reason; *ECS service* leads to the deployment, its stopped
tasks and their logs. Deploy another model, or fix the cause and clear the task. If you mark the task failed
while it rolls, the new revision is rolled back.

### When `smoke_test` is red
The new revision is healthy, but gave no completion or another model's. The service goes back to the former
revision by itself, where there is one: the first ever serves on, and the error says so. Read the log of the
new revision's tasks before you deploy it again.

### Roll back by hand
Trigger this DAG with `manifest_uri` of an earlier approved model. It becomes the champion, against which the
next candidate is judged.
"""

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
        description="What the new revision is asked after the rollout",
        section="Smoke test",
    ),
    "smoke_tokens": Param(
        16,
        type="integer",
        minimum=1,
        maximum=256,
        title="Tokens",
        description="Length of the completion",
        section="Smoke test",
    ),
    "force": Param(
        False,
        type="boolean",
        title="Export again",
        description="Convert the model again, into another folder than a conversion that exists",
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
    dagrun_timeout=timedelta(hours=12),
    params=PARAMS,
    doc_md=DOC,
    tags=["deployment", "ecs", "nexus-llm"],
    description="An approved model goes behind the load balancer, or the old one stays",
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
        doc_md="Wait for this very deployment; a rollback is a failure with its reason.",
    )
    answered = deployment.smoke_test(planned, export.output, rollout.output)
    answered >> deployment.record_deployment(planned, export.output, rollout.output)


model_deployment()
