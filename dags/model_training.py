"""model_training: train a candidate model on a token dataset."""

from __future__ import annotations

from datetime import datetime

from airflow.sdk import Param, dag

from include.aws.job_specs import QUEUE_SECONDS
from include.recipes.loading import recipe_names, require_recipe
from include.settings import load_settings
from nexus_airflow.assets import candidate_model, token_dataset
from nexus_airflow.defaults import RUN_TYPES, default_args, run_limit
from nexus_airflow.operators.spot_training import SageMakerSpotTrainingOperator
from nexus_airflow.params import END, manifest_params
from nexus_airflow.tasks import training

DOC = """
### What it does
It trains a Llama on the token dataset, as one SageMaker job on managed spot. The trainer writes checkpoints
to the run's folder in S3. After an interruption, a retry or a clear, it continues from the newest complete
checkpoint, at the exact position in the data. The candidate is registered as *PendingManualApproval* and
announced.

Links to the job, its log and reports are in the tab *Details* of a task, XComs in *Storage*.

### Start it by hand
*Trigger* with the defaults trains on the newest published corpus. The XCom `chosen_by` of `plan` shows where
the corpus came from.

### Actions in the UI
| action | effect on the job |
|---|---|
| clear `train` while it runs | the job is stopped; the next generation continues from its checkpoints |
| clear `train` after success | the verified model is reused; to train again, trigger a new run |
| mark `train` failed or success | the job is stopped |

### When `train` fails
Read *Job log*, fix the cause, and clear the task. It resumes from the newest complete checkpoint, so at most
`checkpoint_every_steps` steps are repeated.

| special case | what to do |
|---|---|
| `MaxRuntimeExceeded` | clear `train`: it goes on, with the same limit again |
| `MaxWaitTimeExceeded` | there was no spot capacity: clear `train`, or go on without spot (below) |
| *cancelled outside of Airflow* | clear `train` to start the job again |
| *AWS has no room* | raise the quota that the error names, then clear `train` |

To go on with other limits, another instance type or without spot: change `[training]` in the settings, and
clear `plan` with *Downstream*. The checkpoints are kept. A value of this form takes precedence over the
settings, and only a new run, which starts at the first step, can change it.
"""

settings = load_settings()
#: SageMaker's own limit on a training job: 28 days.
LONGEST_MINUTES = 40_320
PARAMS = {
    **manifest_params(
        token_dataset,
        "Corpus manifest",
        "s3://…/corpus/<version>/manifest.json",
        "the newest published corpus",
    ),
    "base_model_uri": Param(
        "",
        type=["string", "null"],
        pattern=rf"^(s3://[^/\s]+/\S*/)?{END}",
        title="Base model",
        description="Prefix of a model to start from. Empty: train from scratch",
        section="Input",
    ),
    "recipe": Param(
        require_recipe("trainings", settings.training.recipe, "training.recipe"),
        enum=recipe_names("trainings"),
        title="Recipe",
        description="Shape of the model, steps, optimiser (include/recipes/trainings)",
        section="Recipe",
    ),
    "recipe_overrides": Param(
        {},
        type=["object", "null"],
        title="Recipe overrides",
        description='Values that replace the recipe\'s: {"steps": 50, "optimiser": {"learning_rate": 0.001}}',
        section="Recipe",
    ),
    "spot": Param(
        settings.training.spot,
        type="boolean",
        title="Managed spot",
        description="Cheaper. The job may be interrupted, and continues from its checkpoints",
        section="Limits",
    ),
    "max_runtime_minutes": Param(
        None,
        type=["integer", "null"],
        minimum=1,
        maximum=LONGEST_MINUTES,
        title="Longest run, minutes",
        description="SageMaker stops the job after this time. Empty: the value of the settings",
        section="Limits",
    ),
    "max_wait_minutes": Param(
        None,
        type=["integer", "null"],
        minimum=1,
        maximum=LONGEST_MINUTES,
        title="Longest run and wait for spot, minutes",
        description="At least the longest run. Empty: the value of the settings",
        section="Limits",
    ),
}


@dag(
    dag_id="model_training",
    schedule=[token_dataset],
    start_date=datetime(2026, 1, 1),
    catchup=False,
    allowed_run_types=RUN_TYPES,
    max_active_runs=2,
    default_args=default_args(),
    dagrun_timeout=run_limit(LONGEST_MINUTES * 60 + QUEUE_SECONDS),
    params=PARAMS,
    doc_md=DOC,
    tags=["training", "sagemaker", "nexus-llm"],
    description="Train a candidate model on a token dataset, on managed spot",
)
def model_training() -> None:
    """Wire the tasks."""
    planned = training.plan()
    train = SageMakerSpotTrainingOperator(
        task_id="train",
        job=planned["job"],
        doc_md="One SageMaker job per generation; XCom: manifest, report, billable seconds, interruptions.",
    )
    training.register.override(outlets=[candidate_model])(train.output)


model_training()
