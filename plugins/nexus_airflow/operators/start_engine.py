"""The operator that starts the engine of a run before its first job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseOperatorLink, Context

from include.aws.clients import client
from include.aws.emr_cluster import cluster_request, is_started_by, living_cluster
from include.aws.engines import Engine
from include.contracts.storage import S3Uri
from include.settings import load_settings
from nexus_airflow.identity import run_identity
from nexus_airflow.links.aws import JobLink, cluster_link
from nexus_airflow.operators.waiting import WaitingOperator


class StartEngineOperator(WaitingOperator):
    """Start the cluster of the run if the engine is EMR. The other engines start with their first job.

    The cluster has the settings of the time when this task runs: if it is cleared after a role or subnet was
    corrected, it uses the new one. A retry reuses a running cluster of the same name and request, and ends
    one that another request started. The provider's operator would start a second cluster if the worker is
    lost between the call and the XCom. This task is a setup and always runs: if a setup is skipped, so is its
    work.

    :param engine: one of ``include.aws.engines.Engine`` (templated)
    :param code_uri: folder of the jobs' code, which holds the bootstrap action as well (templated)
    """

    template_fields: Sequence[str] = ("engine", "code_uri")
    operator_extra_links: Sequence[BaseOperatorLink] = (JobLink(),)
    ui_color = "#f9c915"

    def __init__(self, *, engine: Any, code_uri: Any, **kwargs: Any) -> None:
        super().__init__(**(kwargs | {"execution_timeout": None}))
        self.engine = engine
        self.code_uri = code_uri
        self._cluster = ""

    def execute(self, context: Context) -> str | None:
        """Return the id of the run's cluster, if it has one."""
        return self.patiently(context, self.begin)

    def begin(self, context: Context) -> str | None:
        """Find or start the cluster."""
        if Engine(self.engine) is not Engine.EMR:
            self.log.info("%s needs no cluster: it starts with its first job", self.engine)
            return None
        emr, settings = client("emr"), load_settings()
        name = run_identity(context["dag_run"]).cluster
        request = cluster_request(settings, name, S3Uri.parse(self.code_uri))
        found = living_cluster(emr, name)
        if found and not is_started_by(emr, found, request):
            self.log.warning("ending cluster %s: another request started it", found)
            emr.terminate_job_flows(JobFlowIds=[found])
            found = None
        self._cluster = found or str(emr.run_job_flow(**request)["JobFlowId"])
        self.log.info("cluster %s of this run: %s", name, self._cluster)
        for key, value in cluster_link(settings, self._cluster).items():
            context["ti"].xcom_push(key=key, value=value)
        self.found_room(context)
        return self._cluster

    def on_kill(self) -> None:
        """Terminate the cluster, because a user ended the task while a worker ran it."""
        if self._cluster:
            client("emr").terminate_job_flows(JobFlowIds=[self._cluster])
