"""The operator that ends the engine of a run after its last job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseOperator, Context

from include.aws.clients import client
from include.aws.emr_cluster import end_clusters
from include.aws.engines import Engine
from nexus_airflow.identity import run_identity


class EndEngineOperator(BaseOperator):
    """Terminate the run's cluster if there is one. An application of EMR Serverless stops when idle.

    The cluster is found by its name, which contains environment and run, so its id need not be known. The
    task that started it may have failed before it returned the id.

    :param engine: one of ``include.aws.engines.Engine`` (templated)
    """

    template_fields: Sequence[str] = ("engine",)
    ui_color = "#f9c915"

    def __init__(self, *, engine: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.engine = engine

    def execute(self, context: Context) -> None:
        """Request the termination of the cluster. EMR completes it without this task."""
        if Engine(self.engine) is not Engine.EMR:
            self.log.info("this run has no cluster")
            return
        name = run_identity(context["dag_run"]).cluster
        for cluster in end_clusters(client("emr"), name):
            self.log.info("terminating cluster %s: %s", name, cluster)
