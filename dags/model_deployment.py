"""model_deployment: an approved model goes behind the load balancer, or the old one stays."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import Param, dag

from nexus_airflow.assets import approved_model
from nexus_airflow.defaults import default_args
from nexus_airflow.operators.ecs_rollout import EcsServiceRolloutOperator
from nexus_airflow.operators.processing import SageMakerProcessingOperator
from nexus_airflow.params import manifest_params
from nexus_airflow.taskflow import step
from nexus_airflow.tasks import deployment

DOC = """
### What it does
Converts the approved model for the serving engine (once per model), registers a task definition that serves
exactly this manifest, and rolls the ECS service over. Both revisions answer while it rolls. A new revision
that does not become healthy is taken back by ECS; the old one answers throughout. A completion through the
load balancer proves the end, and a deployment manifest records it.

### Start it by hand
Give `manifest_uri` of a model. Without it a run started by hand is refused: only an asset event names one.

### When `rollout` is red
The old revision serves on. The error holds ECS's reason; *ECS service* leads to the deployment, its stopped
tasks and their logs. Deploy another model, or mend the cause and clear the task. If you mark the task failed
while it rolls, the new revision is taken back.

### When `smoke_test` is red
The new revision is healthy, but gave no completion or another model's. The service goes back to the former
revision by itself, where there is one: the first ever serves on, and the error says so. Read the log of the
new revision's tasks before you deploy it again.

### Roll back by hand
Trigger this DAG with `manifest_uri` of an earlier approved model.
"""

PARAMS = {
    **manifest_params(approved_model, "Model manifest", "s3://…/runs/<run>/model/manifest.json"),
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
        description="Convert the model anew, beside a whole conversion that exists",
        section="Export",
    ),
}


@dag(
    dag_id="model_deployment",
    schedule=[approved_model],
    start_date=datetime(2026, 1, 1),
    catchup=False,
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
    plan = step("plan", deployment.plan, doc_md="Resolves the approved model.")
    export = SageMakerProcessingOperator(
        task_id="export",
        request=plan["export_job"],
        marker_uri=plan["serving_manifest_uri"],
        parent=plan["model"],
        reuse_existing=True,
        doc_md="Converts the model for the serving engine; an existing, whole conversion is reused.",
    )
    definition = step(
        "define", deployment.define, export.output, doc_md="The task definition of exactly this manifest."
    )
    rollout = EcsServiceRolloutOperator(
        task_id="rollout",
        task_definition=definition,
        doc_md="Waits for this very deployment; a rollback is a failure with its reason.",
    )
    smoke = step(
        "smoke_test",
        deployment.smoke_test,
        export.output,
        rollout.output,
        doc_md="One completion through the load balancer; without it, back to the former revision.",
    )
    recorded = step(
        "record_deployment",
        deployment.record_deployment,
        export.output,
        rollout.output,
        doc_md="Writes the deployment manifest; XCom: its URI.",
    )
    smoke >> recorded


model_deployment()
