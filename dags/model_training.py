"""model_training: a token dataset becomes a candidate model."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import Param, dag

from include.recipes.loading import recipe_names, require_recipe
from include.settings import load_settings
from nexus_airflow.assets import candidate_model, token_dataset
from nexus_airflow.defaults import RUN_TYPES, default_args
from nexus_airflow.operators.spot_training import SageMakerSpotTrainingOperator
from nexus_airflow.params import END, manifest_params
from nexus_airflow.tasks import training

DOC = """
### What it does
Trains a Llama on the token dataset as one SageMaker job on managed spot. The trainer writes checkpoints to
the run's folder in S3 and goes on from the newest complete one, at the exact position in the data, after an
interruption, a retry or a clear. The candidate is registered as *PendingManualApproval* and announced.

### Start it by hand
*Trigger* with the defaults trains on the newest published corpus. The XCom `chosen_by` of `plan` shows where
the corpus came from.

### What a click does to the job
| click | effect |
|---|---|
| clear `train` while it runs | the job is stopped; the next generation goes on from its checkpoints |
| clear `train` when done | the verified model is reused; to train again, trigger a new run |
| mark `train` failed or success | the job is stopped |

### When `train` fails
*Job log* leads to the log. `MaxWaitTimeExceeded`: no spot capacity; raise `max_wait_minutes` or set `spot` to
false in a new run. *Cancelled outside of Airflow*: a clear starts the job again. *AWS has no room*: the error
names the quota. Any other failure: fix the cause and clear the task; it resumes from the newest complete
checkpoint, so that at most `checkpoint_every_steps` of the recipe are done again.
"""

settings = load_settings()
PARAMS = {
    **manifest_params(
        token_dataset,
        "Corpus manifest",
        "s3://…/corpus/<version>/manifest.json",
        "the newest published corpus",
    ),
    "base_model_uri": Param(
        "",
        type="string",
        pattern=rf"^(s3://[^/\s]+/\S*/)?{END}",
        title="Base model",
        description="Prefix of a model to start from. Empty: from scratch",
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
        description="Cheaper; may be interrupted, and goes on from its checkpoints",
        section="Limits",
    ),
    "max_runtime_minutes": Param(
        None,
        type=["integer", "null"],
        minimum=1,
        maximum=40_320,
        title="Longest run, minutes",
        description="SageMaker stops the job after this. Empty: as the settings say",
        section="Limits",
    ),
    "max_wait_minutes": Param(
        None,
        type=["integer", "null"],
        minimum=1,
        maximum=40_320,
        title="Longest run and wait for spot, minutes",
        description="At least the longest run. Empty: as the settings say",
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
    dagrun_timeout=timedelta(days=5),
    params=PARAMS,
    doc_md=DOC,
    tags=["training", "sagemaker", "nexus-llm"],
    description="A token dataset becomes a candidate model, on managed spot",
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
