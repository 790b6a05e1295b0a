"""The output of a training job: the run's own model, and what SageMaker counted."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk import Context

from include.aws.job_specs import TrainingJobSpec
from include.aws.job_states import JobKind, JobState, JobView
from include.contracts.manifests import FileEntry, ModelManifest, TrainingReport
from include.contracts.records import to_plain
from include.contracts.storage import RunLayout
from include.object_store import ObjectStore
from nexus_airflow.operators.spot_training import SageMakerSpotTrainingOperator
from tests.dags.conftest import Task
from tests.dags.models import CORPUS

BUCKET = "nexus-llm-models"
REPORT = TrainingReport("run", 120, (30,), 9.0, 6.5, 1000, 40.0)
CONTEXT: Context = {}  # the output does not depend on the task


@pytest.fixture
def layout(aws: Any, task: Task) -> RunLayout:
    aws.client("s3").create_bucket(Bucket=BUCKET)
    return RunLayout.of(BUCKET, task.name)


@pytest.fixture
def train(layout: RunLayout) -> SageMakerSpotTrainingOperator:
    spec = TrainingJobSpec(kind=JobKind.TRAINING, request={}, limit_seconds=600, run_root=str(layout.root))
    return SageMakerSpotTrainingOperator(task_id="train", job=spec)


def test_the_output_is_the_model_of_the_run_once_all_of_it_is_there(
    train: SageMakerSpotTrainingOperator, layout: RunLayout
) -> None:
    store = ObjectStore()
    model = ModelManifest("safetensors", "run", 1, CORPUS, CORPUS, 1, 1, (FileEntry("w", 3, "a" * 64),))
    reference = store.write_record(layout.model / "manifest.json", model)
    assert train.verified_output(CONTEXT) is None
    store.write_record(layout.training_report, REPORT)
    assert train.verified_output(CONTEXT) is None
    store.write(layout.model / "w", b"xyz")
    assert train.verified_output(CONTEXT) == {
        "manifest_uri": str(layout.model / "manifest.json"),
        "manifest_sha256": reference.sha256,
        "report": to_plain(REPORT),
    }


def test_the_result_says_what_sagemaker_counted_if_there_is_a_job(
    train: SageMakerSpotTrainingOperator,
) -> None:
    output = {"manifest_uri": "s3://nexus-llm-models/m"}
    raw: dict[str, Any] = {
        "TrainingJobName": "job-g2",
        "BillableTimeInSeconds": 50,
        "TrainingTimeInSeconds": 60,
        "SecondaryStatusTransitions": [{"Status": "Interrupted"}, {"Status": "Completed"}],
    }
    assert train.result(output, JobView(JobState.COMPLETED, raw=raw)) == output | {
        "job_name": "job-g2",
        "billable_seconds": 50,
        "training_seconds": 60,
        "interruptions": 1,
    }
    short = JobView(JobState.COMPLETED, raw={"TrainingJobName": "job"})
    counted = train.result(output, short)
    assert (counted["billable_seconds"], counted["training_seconds"], counted["interruptions"]) == (0, 0, 0)
    assert train.result(output, JobView(JobState.ABSENT)) == output
