"""The operator for SageMaker processing jobs: evaluation and export."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Context

from include.aws.job_specs import ProcessingJobSpec
from include.checks.manifests import verified_model
from include.contracts.storage import S3Uri
from include.object_store import ObjectStore
from nexus_airflow.operators.job import JobOperator


class SageMakerProcessingOperator(JobOperator):
    """Run a processing job and return the reference of its result, one JSON object in S3."""

    spec_type = ProcessingJobSpec

    @property
    def spec(self) -> ProcessingJobSpec:
        """See JobOperator."""
        spec = super().spec
        assert isinstance(spec, ProcessingJobSpec)
        return spec

    def takes_earlier_output(self) -> bool:
        """See JobOperator."""
        return self.spec.reuse_existing and not self.spec.force

    def verified_output(self, context: Context) -> dict[str, Any] | None:
        """Return the reference of the marker. For a model folder, every listed file must exist."""
        marker = S3Uri.parse(self.spec.marker_uri)
        if marker.key.endswith("/manifest.json"):
            folder = S3Uri(marker.bucket, marker.key.removesuffix("manifest.json"))
            return verified_model(folder, parent=self.spec.parent)
        store = ObjectStore()
        if not store.exists(marker):
            return None
        reference = store.reference(marker)
        return {"uri": reference.uri, "sha256": reference.sha256}
