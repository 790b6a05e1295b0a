"""The engine of a run, before its first job."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Context

from include.aws.engines import Engine
from nexus_airflow.operators.emr_cluster import EmrRunClusterOperator


class StartEngineOperator(EmrRunClusterOperator):
    """The run's cluster where the engine is EMR; the other engines start with their first job.

    A setup may not be skipped without its work being skipped too, so this one always runs.

    :param engine: one of ``include.aws.engines.Engine`` (templated)
    """

    template_fields = (*EmrRunClusterOperator.template_fields, "engine")

    def __init__(self, *, engine: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.engine = engine

    def execute(self, context: Context) -> str | None:
        """The id of the run's cluster, if it has one."""
        if Engine(self.engine) is Engine.EMR:
            return super().execute(context)
        self.log.info("%s needs no cluster: it starts with its first job", self.engine)
        return None
