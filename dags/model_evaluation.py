"""model_evaluation: a candidate is scored against the champion, and the gate decides."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import Param, dag

from include.recipes.loading import recipe_names
from nexus_airflow.assets import approved_model, candidate_model
from nexus_airflow.defaults import RUN_TYPES, default_args
from nexus_airflow.operators.processing import SageMakerProcessingOperator
from nexus_airflow.params import manifest_params
from nexus_airflow.tasks import evaluation

DOC = """
### What it does
Scores the candidate on the corpus's held-out documents, per subset, against the champion (the model that was
approved or rolled back to last), or against token frequencies where there is none. It is also scored against
the anchor, the best model ever approved, so that many small losses do not add up. The gate is a pure function
of that report. A pass approves the package and announces it; model_deployment follows.

### Start it by hand
*Trigger* with the defaults judges the newest candidate. The XCom `chosen_by` of `plan` shows where it came
from.

### When `mark_superseded` is green
Several candidates were announced while another evaluation ran. The newest is judged. The others are
*Rejected* in the registry with the note that they were not judged; trigger this DAG with the `manifest_uri`
of one to judge it.

### When `gate` is red
Nothing is broken: the candidate did not pass, its package is *Rejected*, nothing is deployed. The reasons
stand in the task's log, in the XCom `verdict_table` (metric, candidate, baseline, threshold, outcome) and in
the registry. *Inconclusive* means too few held-out documents to tell.

### When `evaluate` is red
*Job log* leads to the log. Clear the task to run the next generation.
"""

PARAMS = {
    **manifest_params(
        candidate_model,
        "Model manifest",
        "s3://…/runs/<run>/model/manifest.json",
        "the newest candidate",
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
    dagrun_timeout=timedelta(days=1),
    params=PARAMS,
    doc_md=DOC,
    tags=["evaluation", "sagemaker", "nexus-llm"],
    description="A candidate is scored against the champion, and the gate decides",
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
