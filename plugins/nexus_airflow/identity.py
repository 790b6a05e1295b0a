"""Identities of Airflow's runs and tasks in this environment."""

from __future__ import annotations

from typing import Any

from include.contracts.job_names import JobIdentity, RunIdentity
from include.settings import load_settings


def run_identity(run: Any) -> RunIdentity:
    """Return the identity of anything that has ``dag_id`` and ``run_id``."""
    return RunIdentity(load_settings().name, run.dag_id, run.run_id)


def job_identity(task_instance: Any) -> JobIdentity:
    """Return the identity of the jobs of a task instance."""
    return run_identity(task_instance).job(task_instance.task_id, task_instance.map_index)


def task_state(task_instance: Any) -> str:
    """Return the state that Airflow has recorded for a task instance, or '' if it is unknown."""
    ti = task_instance
    states = ti.get_task_states(
        dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id], map_index=ti.map_index
    )
    state = next(iter(states.get(ti.run_id, {}).values()), None)
    return str(state) if state is not None else ""
