"""One Spark step on the run's cluster.

The provider's EmrAddStepsOperator gives up after 60 looks while the step runs on, adds a second step on
a retry, and cancels nothing.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import Context

from include.aws.jobs import JobKind
from include.aws.storage import ObjectStore
from include.contracts.storage import S3Uri
from nexus_airflow.links.aws import CorpusReportLink
from nexus_airflow.operators.job import JobOperator


class EmrStepOperator(JobOperator):
    """Run a step and return the reference of what it wrote last.

    :param marker_uri: stage report or manifest that a completed step leaves (templated)
    :param report_uri: page that the step writes for people, or empty (templated)
    """

    kind = JobKind.EMR_STEP
    template_fields = (*JobOperator.template_fields, "marker_uri", "report_uri")
    operator_extra_links = (*JobOperator.operator_extra_links, CorpusReportLink())

    def __init__(self, *, marker_uri: Any, report_uri: Any = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.marker_uri = marker_uri
        self.report_uri = report_uri

    def verified_output(self, context: Context) -> dict[str, Any] | None:
        """Reference of the marker, when it is there."""
        store, marker = ObjectStore(), S3Uri.parse(self.marker_uri)
        if not store.exists(marker):
            return None
        reference = store.reference(marker)
        if self.report_uri:
            context["ti"].xcom_push(key=CorpusReportLink.stored_key, value=self.report_uri)
        return {"uri": reference.uri, "sha256": reference.sha256}
