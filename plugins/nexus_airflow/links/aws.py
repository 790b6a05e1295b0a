"""Links to the AWS console. The operator stores each URL as an XCom; the link only reads it."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink
from airflow.sdk.execution_time.xcom import XCom

from include.aws.jobs import JobKind
from include.contracts.storage import S3Uri
from include.object_store import ObjectStore

_LINK_SECONDS = 3600
_LOG_GROUPS = {
    JobKind.TRAINING: "/aws/sagemaker/TrainingJobs",
    JobKind.PROCESSING: "/aws/sagemaker/ProcessingJobs",
    JobKind.GLUE: "/aws-glue/jobs/error",
}


class _StoredLink(BaseOperatorLink):
    """A link whose URL the operator pushed under ``stored_key``."""

    stored_key = ""

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The stored URL; empty before the operator knows it."""
        return str(XCom.get_value(key=self.stored_key, ti_key=ti_key) or "")


class JobLink(_StoredLink):
    """The job itself."""

    name = "AWS job"
    stored_key = "job_url"


class JobLogsLink(_StoredLink):
    """The log of the job."""

    name = "Job log"
    stored_key = "job_log_url"


class CorpusReportLink(_StoredLink):
    """The report of the corpus version, by an address that is signed when the link is opened."""

    name = "Corpus report"
    stored_key = "report_uri"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The page itself; empty where there is none."""
        uri = super().get_link(operator, ti_key=ti_key)
        if not uri:
            return ""
        return ObjectStore().signed_url(uri, _LINK_SECONDS)


class EcsServiceLink(_StoredLink):
    """The deployments of the service."""

    name = "ECS service"
    stored_key = "service_url"


def job_url(kind: JobKind, region: str, name: str, scope: str) -> str:
    """Console page of a job; of EMR Serverless and Glue, which know runs by ids of their own, of all runs."""
    console = f"https://{region}.console.aws.amazon.com"
    if kind is JobKind.EMR_STEP:
        return f"{console}/emr/home?region={region}#/clusterDetails/{scope}"
    if kind is JobKind.EMR_SERVERLESS:
        return f"{console}/emr/home?region={region}#/serverless"
    if kind is JobKind.GLUE:
        return f"{console}/gluestudio/home?region={region}#/editor/job/{scope}/runs"
    page = "jobs" if kind is JobKind.TRAINING else "processing-jobs"
    return f"{console}/sagemaker/home?region={region}#/{page}/{name}"


def job_log_url(kind: JobKind, region: str, log_uri: str, log_prefix: str) -> str:
    """Console page of a job's log: CloudWatch streams, or the prefix in S3 for EMR and EMR Serverless.

    ``log_prefix`` is JobView's; empty shows the logs of all such jobs.
    """
    console = f"https://{region}.console.aws.amazon.com"
    if kind in (JobKind.EMR_STEP, JobKind.EMR_SERVERLESS):
        place = S3Uri.parse(log_uri) / log_prefix
        return f"{console}/s3/buckets/{place.bucket}?prefix={quote(place.key)}"
    group = quote(_LOG_GROUPS[kind], safe="").replace("%", "$25")
    streams = f"$3FlogStreamNameFilter$3D{log_prefix}" if log_prefix else ""
    return f"{console}/cloudwatch/home?region={region}#logsV2:log-groups/log-group/{group}{streams}"


def service_url(region: str, cluster: str, service: str) -> str:
    """Console page of a service's deployments."""
    return f"https://{region}.console.aws.amazon.com/ecs/v2/clusters/{cluster}/services/{service}/deployments"
