"""SageMaker training on managed spot, resumed from the run's own checkpoints."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Context

from include.aws.job_specs import TrainingJobSpec
from include.aws.job_states import JobState, JobView
from include.aws.sagemaker import interruptions
from include.checks.manifests import verified_model
from include.contracts.storage import RunLayout, S3Uri
from nexus_airflow.operators.job import JobOperator


class SageMakerSpotTrainingOperator(JobOperator):
    """Train one run and return its model manifest, report, billable seconds and interruptions."""

    spec_type = TrainingJobSpec

    @property
    def spec(self) -> TrainingJobSpec:
        """See JobOperator."""
        spec = super().spec
        assert isinstance(spec, TrainingJobSpec)
        return spec

    def verified_output(self, context: Context) -> dict[str, Any] | None:
        """Return the model manifest of the run if every file that it lists exists."""
        layout = RunLayout(S3Uri.parse(self.spec.run_root))
        return verified_model(layout.model, layout.training_report)

    def result(self, output: dict[str, Any], view: JobView) -> dict[str, Any]:
        """Return the output with the seconds and interruptions that SageMaker counted."""
        if view.state is JobState.ABSENT:
            return output
        return output | {
            "job_name": view.raw["TrainingJobName"],
            "billable_seconds": view.raw.get("BillableTimeInSeconds", 0),
            "training_seconds": view.raw.get("TrainingTimeInSeconds", 0),
            "interruptions": interruptions(view.raw),
        }
