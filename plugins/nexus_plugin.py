"""The only file that Airflow's plugin loader executes. It registers links, listeners and middleware."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin
from starlette.middleware.trustedhost import TrustedHostMiddleware

from include.settings import load_settings
from nexus_airflow.links.aws import CorpusReportLink, EcsServiceLink, JobLink, JobLogsLink
from nexus_airflow.listeners import jobs
from nexus_airflow.one_writer import OneWriter, database_has_one_writer

_HOSTS = {
    "name": "hosts",
    "middleware": TrustedHostMiddleware,
    "kwargs": {"allowed_hosts": list(load_settings().airflow.hosts)},
}
_ONE_WRITER = {"name": "one writer", "middleware": OneWriter}


class NexusPlugin(AirflowPlugin):
    """The links of serialized operators, the listener that stops the job of a task marked failed, and the
    middleware of the API server.
    """

    name = "nexus"
    operator_extra_links = [JobLink(), JobLogsLink(), CorpusReportLink(), EcsServiceLink()]
    listeners = [jobs]
    #: Middleware runs last to first, so requests from forbidden hosts are rejected before they wait.
    fastapi_root_middlewares = [*([_ONE_WRITER] if database_has_one_writer() else []), _HOSTS]
