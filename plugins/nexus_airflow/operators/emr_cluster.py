"""The cluster of one run: created once, found again by a retry."""

from __future__ import annotations

from typing import Any

from airflow.providers.amazon.aws.operators.emr import EmrCreateJobFlowOperator
from airflow.sdk import Context

from include.aws.clients import client
from include.aws.emr import living_cluster


class EmrRunClusterOperator(EmrCreateJobFlowOperator):
    """The provider's operator, except that a retry takes the live cluster of the same name.

    The provider creates a second one when the worker dies between the call and the XCom.
    """

    def execute(self, context: Context) -> str | None:
        """The id of the run's cluster."""
        name = str(dict(self.job_flow_overrides)["Name"])  # type: ignore[arg-type]
        found = living_cluster(client("emr"), name)
        if found:
            self.log.info("cluster %s of this run is alive: %s", name, found)
            self._job_flow_id = found
            return found
        created: Any = super().execute(context)
        return str(created) if created else None
