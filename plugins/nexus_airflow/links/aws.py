"""Links of tasks to jobs, logs and services. The operator stores each URL as an XCom, and the link reads it.

The settings hold templates of the URLs (``include.settings.links``).
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperatorLink
from airflow.sdk.execution_time.xcom import XCom

from include.aws.job_logs import LOG_GROUPS, log_uri
from include.aws.job_states import JobKind, JobView
from include.contracts.storage import S3Uri
from include.object_store import ObjectStore
from include.settings import Settings

_LINK_SECONDS = 3600


class _StoredLink(BaseOperatorLink):
    """A link whose URL the operator pushed under ``stored_key``."""

    stored_key = ""

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the stored URL, or '' if the operator has not stored it yet."""
        return str(XCom.get_value(key=self.stored_key, ti_key=ti_key) or "")


class JobLink(_StoredLink):
    """The link to the job."""

    name = "AWS job"
    stored_key = "job_url"


class JobLogsLink(_StoredLink):
    """The link to the log of the job."""

    name = "Job log"
    stored_key = "job_log_url"


class CorpusReportLink(_StoredLink):
    """The link to the report of the corpus version. Its URL is signed when the link is opened."""

    name = "Corpus report"
    stored_key = "report_uri"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the URL of the page, or '' if there is none."""
        uri = super().get_link(operator, ti_key=ti_key)
        if not uri:
            return ""
        return ObjectStore().signed_url(uri, _LINK_SECONDS)


class EcsServiceLink(_StoredLink):
    """The link to the deployments of the service."""

    name = "ECS service"
    stored_key = "service_url"


def job_links(settings: Settings, kind: JobKind, name: str, scope: str, view: JobView) -> dict[str, str]:
    """Return the addresses of a job and its log, by the keys under which the links find them."""
    words = {"region": settings.region, "name": name, "scope": scope, "id": view.job_id or name}
    folder = S3Uri.parse(log_uri(settings, kind)) / view.log_prefix if log_uri(settings, kind) else None
    log = {
        "log_group": LOG_GROUPS.get(kind, ("",))[-1],
        "log_bucket": folder.bucket if folder else "",
        "log_prefix": folder.key if folder else view.log_prefix,
    }
    return {
        JobLink.stored_key: settings.links.job_url(kind.value, **words),
        JobLogsLink.stored_key: settings.links.log_url(kind.value, **words, **log),
    }


def cluster_link(settings: Settings, cluster: str) -> dict[str, str]:
    """Return the address of an EMR cluster, by the key under which the job link finds it."""
    words = {"region": settings.region, "name": "", "scope": cluster, "id": cluster}
    return {JobLink.stored_key: settings.links.job_url("emr_cluster", **words)}


def service_link(settings: Settings) -> dict[str, str]:
    """Return the address of the ECS service, by the key under which its link finds it."""
    serving = settings.serving
    words = {"region": settings.region, "cluster": serving.cluster, "service": serving.service}
    return {EcsServiceLink.stored_key: settings.links.service_url(**words)}
