"""States of clusters and steps, and the two ways in which they end."""

from __future__ import annotations

import time

from local_aws.jobs.table import JobTable

CLUSTER, STEP = "emr-cluster", "emr-step"
PENDING_STEP = "PENDING"
ACTIVE_CLUSTER = ("STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING")
RUNNING_STEP = ("RUNNING", "CANCEL_PENDING")


def end_step(
    table: JobTable, name: str, state: str, message: str = "", failure: dict[str, str] | None = None
) -> None:
    """A step's final state, with the reason that DescribeStep shows."""
    with table.editing(STEP, name) as row:
        row.state = state
        row.processes = []
        row.detail["ended"] = time.time()
        if message:
            row.detail["reason"] = {"Message": message}
        if failure:
            row.detail["failure"] = failure


def end_cluster(table: JobTable, name: str, state: str, code: str, message: str) -> None:
    """A cluster's way to its end: TERMINATING first, then a terminal state with the same reason."""
    with table.editing(CLUSTER, name) as row:
        row.state = state
        row.detail["reason"] = {"Code": code, "Message": message}
