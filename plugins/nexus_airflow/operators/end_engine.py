"""The engine of a run, after its last job."""

from __future__ import annotations

from typing import Any

from airflow.providers.amazon.aws.operators.emr import EmrTerminateJobFlowOperator
from airflow.sdk import Context


class EndEngineOperator(EmrTerminateJobFlowOperator):
    """Terminate the run's cluster where there is one; an application of EMR Serverless stops by itself."""

    def execute(self, context: Context) -> None:
        """Ask for the end of the cluster; it goes on without this task."""
        cluster: Any = self.job_flow_id
        if str(cluster).startswith("j-"):
            super().execute(context)
        else:
            self.log.info("this run has no cluster")
