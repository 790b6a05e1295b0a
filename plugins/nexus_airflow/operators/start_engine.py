"""The operator that starts the engine of a run before its first job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseOperatorLink, Context

from include.aws.clients import client
from include.aws.emr_cluster import cluster_request, end_clusters, is_started_by, living_clusters
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
    every other one of this name. The provider's operator would start a second cluster if the worker is
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
        self._name = ""

    def execute(self, context: Context) -> str | None:
        """Return the id of the run's cluster, if it has one."""
        return self.patiently(context, self.begin)

    def begin(self, context: Context) -> str | None:
        """Find or start the cluster."""
        if Engine(self.engine) is not Engine.EMR:
            self.log.info("%s needs no cluster: it starts with its first job", self.engine)
            return None
        emr, settings = client("emr"), load_settings()
        name = self._name = run_identity(context["dag_run"]).cluster
        request = cluster_request(settings, name, S3Uri.parse(self.code_uri))
        living = living_clusters(emr, name)
        found = next((cluster for cluster in living if is_started_by(emr, cluster, request)), None)
        for other in living:
            if other != found:
                self.log.warning("ending cluster %s: another request or an earlier try started it", other)
                emr.terminate_job_flows(JobFlowIds=[other])
        cluster = found or str(emr.run_job_flow(**request)["JobFlowId"])
        self.log.info("cluster %s of this run: %s", name, cluster)
        for key, value in cluster_link(settings, cluster).items():
            context["ti"].xcom_push(key=key, value=value)
        self.found_room(context)
        return cluster

    def on_kill(self) -> None:
        """Terminate the cluster, because a user ended the task while a worker ran it.

        It is found by its name, because the answer with its id may not have arrived.
        """
        if self._name:
            end_clusters(client("emr"), self._name)
