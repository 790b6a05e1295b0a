"""SageMaker processing: evaluation and export."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Context

from include.aws.jobs import JobKind
from include.checks.manifests import verified_model
from include.contracts.manifests import ParentRef
from include.contracts.storage import S3Uri
from include.object_store import ObjectStore
from nexus_airflow.operators.job import JobOperator


class SageMakerProcessingOperator(JobOperator):
    """Run a processing job whose result is one JSON object in S3, its marker.

    :param marker_uri: what the job writes last (templated): a report, or the manifest of a model folder
    :param parent: manifest that the model folder must have been made from, as {"uri", "sha256"} (templated)
    """

    kind = JobKind.PROCESSING
    template_fields = (*JobOperator.template_fields, "marker_uri", "parent")

    def __init__(self, *, marker_uri: Any, parent: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.marker_uri = marker_uri
        self.parent = parent

    def verified_output(self, context: Context) -> dict[str, Any] | None:
        """Reference of the marker; for a model folder only when every listed file is there."""
        marker = S3Uri.parse(self.marker_uri)
        if marker.key.endswith("/manifest.json"):
            folder = S3Uri(marker.bucket, marker.key.removesuffix("manifest.json"))
            return verified_model(folder, parent=ParentRef(**self.parent) if self.parent else None)
        store = ObjectStore()
        if not store.exists(marker):
            return None
        reference = store.reference(marker)
        return {"uri": reference.uri, "sha256": reference.sha256}
