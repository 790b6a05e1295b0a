"""The engine of a run, before its first job."""

from __future__ import annotations

from typing import Any

from airflow.providers.amazon.aws.operators.emr import EmrCreateJobFlowOperator
from airflow.sdk import Context

from include.aws.clients import client
from include.aws.emr import cluster_request, living_cluster
from include.aws.engines import Engine
from include.contracts.job_names import cluster_name
from include.contracts.storage import S3Uri
from include.settings import load_settings


class StartEngineOperator(EmrCreateJobFlowOperator):
    """The run's cluster where the engine is EMR; the other engines start with their first job.

    The cluster is that of the settings when this task runs: cleared after a role or subnet was corrected, it
    takes the new one. A retry takes the live cluster of the same name: the provider creates a second one when
    the worker dies between the call and the XCom. A setup may not be skipped without its work being skipped
    too, so it always runs.

    :param engine: one of ``include.aws.engines.Engine`` (templated)
    :param code_uri: folder of the jobs' code, which holds the bootstrap action as well (templated)
    """

    template_fields = ("engine", "code_uri")

    def __init__(self, *, engine: Any, code_uri: Any, **kwargs: Any) -> None:
        super().__init__(job_flow_overrides={}, **kwargs)
        self.engine = engine
        self.code_uri = code_uri

    def execute(self, context: Context) -> str | None:
        """The id of the run's cluster, if it has one."""
        if Engine(self.engine) is not Engine.EMR:
            self.log.info("%s needs no cluster: it starts with its first job", self.engine)
            return None
        run = context["dag_run"]
        name, code = cluster_name(run.dag_id, run.run_id), S3Uri.parse(self.code_uri)
        if found := living_cluster(client("emr"), name):
            self.log.info("cluster %s of this run is alive: %s", name, found)
            self._job_flow_id = found
            return found
        self.job_flow_overrides = cluster_request(load_settings(), name, code)
        created: Any = super().execute(context)
        return str(created) if created else None
