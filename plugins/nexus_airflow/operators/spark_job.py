"""One Spark job of a corpus, on the engine that the run has chosen.

The provider's operators for EMR steps, EMR Serverless and Glue give up after a number of looks while the job
runs on, start a second job on a retry, and cancel nothing, or not everywhere.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import Context

from include.aws.engines import Engine
from include.aws.job_states import JobView
from include.aws.jobs import JobKind
from include.contracts.errors import NexusError
from include.contracts.job_errors import JobError
from include.contracts.storage import S3Uri
from include.object_store import ObjectStore
from nexus_airflow.defaults import HOPELESS
from nexus_airflow.errors import JobFailed
from nexus_airflow.links.aws import CorpusReportLink
from nexus_airflow.operators.job import JobOperator


class SparkJobOperator(JobOperator):
    """Run a job and return the reference of what it wrote last.

    :param engine: one of ``include.aws.engines.Engine`` (templated)
    :param marker_uri: stage report or manifest that a completed job leaves (templated)
    :param error_uri: where a job leaves the error that ended it, or empty (templated)
    :param report_uri: page that the job writes for people, or empty (templated)
    """

    template_fields = (*JobOperator.template_fields, "engine", "marker_uri", "error_uri", "report_uri")
    operator_extra_links = (*JobOperator.operator_extra_links, CorpusReportLink())

    def __init__(
        self, *, engine: Any, marker_uri: Any, error_uri: Any = "", report_uri: Any = "", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.engine = engine
        self.marker_uri = marker_uri
        self.error_uri = error_uri
        self.report_uri = report_uri

    @property
    def kind(self) -> JobKind:
        """See JobOperator."""
        return Engine(self.engine).kind

    def verified_output(self, context: Context) -> dict[str, Any] | None:
        """Reference of the marker, when it is there."""
        store, marker = ObjectStore(), S3Uri.parse(self.marker_uri)
        if not store.exists(marker):
            return None
        reference = store.reference(marker)
        if self.report_uri:
            context["ti"].xcom_push(key=CorpusReportLink.stored_key, value=self.report_uri)
        return {"uri": reference.uri, "sha256": reference.sha256}

    def prepare(self) -> None:
        """No error of an earlier run stands for this one, which may end before it can leave its own."""
        if self.error_uri:
            ObjectStore().delete(S3Uri.parse(self.error_uri))

    def failure(self, view: JobView) -> NexusError:
        """With the error that the job itself left: an engine tells little more than that it ended.

        It is of the job's kind, so that what no retry mends is not tried again.
        """
        told = super().failure(view)
        error = self._error_of_the_job()
        if error is None:
            return told
        for kind in HOPELESS:
            if kind.__name__ == error.kind:
                return kind(error.message, where=self.task_id)
        what = f"{error.kind}: {error.message}"
        return JobFailed(what, where=told.where, got=view.reason, remedy=told.remedy)

    def _error_of_the_job(self) -> JobError | None:
        if not self.error_uri:
            return None
        store, uri = ObjectStore(), S3Uri.parse(self.error_uri)
        try:
            return store.read_record(JobError, uri) if store.exists(uri) else None
        except NexusError as error:
            self.log.warning("what the job said about its end cannot be read: %s", error)
            return None
