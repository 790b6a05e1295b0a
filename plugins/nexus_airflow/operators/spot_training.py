"""SageMaker training on managed spot, resumed from the run's own checkpoints."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Context

from include.aws.job_states import JobState, JobView
from include.aws.jobs import JobKind, interruptions
from include.checks.manifests import verified_model
from include.contracts.storage import RunLayout, S3Uri
from nexus_airflow.operators.job import JobOperator


class SageMakerSpotTrainingOperator(JobOperator):
    """Train one run and return its model manifest, report, billable seconds and interruptions.

    :param run_root: ``s3://<models>/runs/<run>/`` (templated): checkpoints and output of every generation
    """

    kind = JobKind.TRAINING
    template_fields = (*JobOperator.template_fields, "run_root")

    def __init__(self, *, run_root: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.run_root = run_root

    def verified_output(self, context: Context) -> dict[str, Any] | None:
        """The model manifest of the run when every file it lists is there."""
        place = RunLayout(S3Uri.parse(self.run_root))
        return verified_model(place.model, place.training_report)

    def result(self, output: dict[str, Any], view: JobView) -> dict[str, Any]:
        """Adds what the service counted."""
        if view.state is JobState.ABSENT:
            return output
        return output | {
            "job_name": view.raw["TrainingJobName"],
            "billable_seconds": view.raw.get("BillableTimeInSeconds", 0),
            "training_seconds": view.raw.get("TrainingTimeInSeconds", 0),
            "interruptions": interruptions(view.raw),
        }
