"""The states of EMR clusters and steps, and the functions that end them."""

from __future__ import annotations

import time

from local_aws.resources import ResourceTable

CLUSTER, STEP = "emr-cluster", "emr-step"
PENDING_STEP = "PENDING"
ACTIVE_CLUSTER = ("STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING")
RUNNING_STEP = ("RUNNING", "CANCEL_PENDING")


def end_step(
    table: ResourceTable, name: str, state: str, message: str = "", failure: dict[str, str] | None = None
) -> None:
    """Set a step's final state and the reason or failure that DescribeStep shows."""
    with table.editing(STEP, name) as row:
        row.state = state
        row.processes = []
        row.detail["ended"] = time.time()
        if message:
            row.detail["reason"] = {"Message": message}
        if failure:
            row.detail["failure"] = failure


def end_cluster(table: ResourceTable, name: str, state: str, code: str, message: str) -> None:
    """Set a cluster's state and the reason for its end. The runner keeps the reason in the terminal state."""
    with table.editing(CLUSTER, name) as row:
        row.state = state
        row.detail["reason"] = {"Code": code, "Message": message}
