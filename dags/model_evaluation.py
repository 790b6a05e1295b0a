"""model_evaluation: score a candidate against the champion, and let the gate decide."""

from __future__ import annotations

from datetime import datetime

from airflow.sdk import Param, dag

from include.aws.processing import processing_limit_seconds
from include.recipes.loading import recipe_names
from include.settings import load_settings
from nexus_airflow.assets import approved_model, candidate_model
from nexus_airflow.defaults import RUN_TYPES, default_args, run_limit
from nexus_airflow.operators.processing import SageMakerProcessingOperator
from nexus_airflow.params import manifest_params
from nexus_airflow.tasks import evaluation

DOC = """
### What it does
It scores the candidate on the corpus's held-out documents, per subset, and compares it with the champion (the
model that was approved or rolled back to last). If there is no champion, it compares with token frequencies.
It also compares with the anchor, the best model ever approved, so that many small losses do not add up. The
gate decides by the report only. If the candidate passes, its package is approved and announced, and
model_deployment runs.

Links to the job, its log and reports are in the tab *Details* of a task, XComs in *Storage*.

### Start it by hand
*Trigger* with the defaults judges the newest pending package. The XCom `chosen_by` of `plan` shows where
it came from. To judge a package that has a verdict already, give its `manifest_uri`. An *Approved*
package gets a report and a verdict too, but it stays *Approved* if it fails, because it may be serving.
If it passes, it becomes the champion and is deployed. The champion itself is refused: it would be
compared with itself.

### When `mark_superseded` is green
To judge an older candidate, trigger this DAG with its `manifest_uri`. Several candidates were announced
while another evaluation ran, and only the newest is judged. The others are *Rejected* in the registry,
with a note that they were not judged.

### When `gate` is red
If its error says that the champion or the anchor has changed, clear `plan` with *Downstream*. An
approval, a rejection, a deployment by hand or a rollback during the evaluation changed it, and the
package has no verdict yet. `approve` refuses for the same reason.

Otherwise you need not repair anything: the candidate did not pass, its package is *Rejected*, and nothing
is deployed. The reasons are in the task's log, in the XCom `verdict_table` (metric, candidate, baseline,
threshold, outcome) and in the registry. *Inconclusive* means that there are too few held-out documents
for a decision. If a person approved or rejected the package during the evaluation, that verdict stays,
and the error says so.

### When `approve` is skipped
You need not repair anything. The candidate passed the gate, but a person rejected it during the
evaluation. It is not announced.

### When `evaluate` is red
Read *Job log*, then clear the task to start the next generation.
"""

settings = load_settings()
PARAMS = {
    **manifest_params(
        candidate_model,
        "Model manifest",
        "s3://…/runs/<run>/model/manifest.json",
        "the newest pending candidate",
    ),
    "gate": Param(
        "standard",
        enum=recipe_names("gates"),
        title="Gate",
        description="Margins and confidence (include/recipes/gates)",
        section="Gate",
    ),
    "gate_overrides": Param(
        {},
        type=["object", "null"],
        title="Gate overrides",
        description='Values that replace the gate\'s: {"margin_nats": 0.05}',
        section="Gate",
    ),
    "force": Param(
        False,
        type="boolean",
        title="Repeat on clear",
        description="Clearing a completed evaluation runs it again instead of reusing its report",
        section="Gate",
    ),
}


@dag(
    dag_id="model_evaluation",
    schedule=[candidate_model],
    start_date=datetime(2026, 1, 1),
    catchup=False,
    allowed_run_types=RUN_TYPES,
    max_active_runs=1,
    default_args=default_args(),
    dagrun_timeout=run_limit(processing_limit_seconds(settings)),
    params=PARAMS,
    doc_md=DOC,
    tags=["evaluation", "sagemaker", "nexus-llm"],
    description="Score a candidate against the champion, and let the gate decide",
)
def model_evaluation() -> None:
    """Wire the tasks."""
    planned = evaluation.plan()
    evaluate = SageMakerProcessingOperator(
        task_id="evaluate",
        job=planned["job"],
        doc_md="Held-out loss and perplexity per subset, for candidate and baseline.",
    )
    evaluation.mark_superseded(planned)
    verdict = evaluation.gate(planned, evaluate.output)
    evaluation.approve.override(outlets=[approved_model])(planned, verdict)


model_evaluation()
