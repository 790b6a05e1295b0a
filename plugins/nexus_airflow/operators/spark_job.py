"""The operator for a Spark job of a corpus, on the engine that the run has chosen.

The provider's operators for EMR steps, EMR Serverless and Glue fail after a number of polls while the job
continues, start a second job on a retry, and do not cancel jobs in all cases.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from airflow.sdk import Context

from include.aws.job_specs import SparkJobSpec
from include.aws.job_states import EndedBy, JobView
from include.contracts.errors import NexusError
from include.contracts.job_errors import JobError
from include.contracts.storage import S3Uri
from include.object_store import ObjectStore
from include.planning.claims import claim_seconds, claim_version
from include.settings import load_settings
from nexus_airflow.defaults import NON_RETRYABLE
from nexus_airflow.errors import JobFailed
from nexus_airflow.identity import run_identity
from nexus_airflow.links.aws import CorpusReportLink
from nexus_airflow.operators.job import JobOperator
from nexus_airflow.takeover import may_take_over


class SparkJobOperator(JobOperator):
    """Run a job and return the reference of its last output."""

    operator_extra_links = (*JobOperator.operator_extra_links, CorpusReportLink())
    spec_type = SparkJobSpec

    @property
    def spec(self) -> SparkJobSpec:
        """See JobOperator."""
        spec = super().spec
        assert isinstance(spec, SparkJobSpec)
        return spec

    def verified_output(self, context: Context) -> dict[str, Any] | None:
        """Return the reference of the marker if it exists."""
        store, marker = ObjectStore(), S3Uri.parse(self.spec.marker_uri)
        if not store.exists(marker):
            return None
        reference = store.reference(marker)
        if self.spec.page_uri:
            context["ti"].xcom_push(key=CorpusReportLink.stored_key, value=self.spec.page_uri)
        return {"uri": reference.uri, "sha256": reference.sha256}

    def prepare(self, context: Context) -> None:
        """Claim the version, and remove the error that an earlier job wrote."""
        if self.spec.claim_uri:
            ti = context["ti"]
            seconds = claim_seconds(load_settings(), self.spec.limit_seconds)
            claim_version(
                S3Uri.parse(self.spec.claim_uri), run_identity(ti), partial(may_take_over, ti), seconds
            )
        ObjectStore().delete(S3Uri.parse(self.spec.error_uri))

    def failure(self, view: JobView) -> NexusError:
        """Return the error that the job wrote, because engines report little more than the end of a job.

        It has the class of the job's error, so that errors that a retry cannot help are not retried.
        """
        general = super().failure(view)
        error = self._error_of_the_job() if view.ended_by is EndedBy.ITSELF else None
        if error is None:
            return general
        for kind in NON_RETRYABLE:
            if kind.__name__ == error.kind:
                return kind(error.message, where=self.task_id)
        what = f"{error.kind}: {error.message}"
        return JobFailed(what, where=general.where, got=view.reason, remedy=general.remedy)

    def _error_of_the_job(self) -> JobError | None:
        store, uri = ObjectStore(), S3Uri.parse(self.spec.error_uri)
        try:
            return store.read_record(JobError, uri) if store.exists(uri) else None
        except NexusError as error:
            self.log.warning("the error that the job left cannot be read: %s", error)
            return None
