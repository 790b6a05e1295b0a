"""Decides whether a run may take over what an earlier run was building."""

from __future__ import annotations

from typing import Any

from include.aws.orphans import stop_orphans
from include.contracts.job_names import RunIdentity
from include.settings import load_settings
from nexus_airflow.errors import OrphanedJobs


def may_take_over(task_instance: Any, run: RunIdentity) -> bool:
    """Return True if a run has ended or was deleted, and none of its jobs can still write.

    Airflow does not tell anyone that a run was deleted, so its jobs may outlive it. Raises OrphanedJobs after
    it has stopped them.
    """
    if not run_is_over(task_instance, run):
        return False
    orphans = stop_orphans(load_settings(), run)
    if orphans:
        raise OrphanedJobs(
            "jobs of a run that has ended are still running, and are being stopped",
            where=f"run {run.run_id} of {run.dag_id}",
            expected="no active job",
            got=", ".join(orphans),
            remedy="a retry goes on once they have ended",
        )
    return True


def run_is_over(task_instance: Any, run: RunIdentity) -> bool:
    """Return True if Airflow knows that a run has ended or was deleted.

    Nothing is known about the runs of another environment.
    """
    if run.environment != load_settings().name:
        return False
    living = ["queued", "running"]
    return bool(task_instance.get_dr_count(dag_id=run.dag_id, run_ids=[run.run_id], states=living) == 0)
