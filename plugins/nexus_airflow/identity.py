"""Identities of Airflow's runs and tasks in this environment."""

from __future__ import annotations

from typing import Any

from include.contracts.job_names import JobIdentity, RunIdentity
from include.settings import load_settings

#: The states of a task instance whose try is still in progress.
_WANTED = {"running", "queued", "scheduled"}


def run_identity(run: Any) -> RunIdentity:
    """Return the identity of anything that has ``dag_id`` and ``run_id``."""
    return RunIdentity(load_settings().name, run.dag_id, run.run_id)


def job_identity(task_instance: Any) -> JobIdentity:
    """Return the identity of the jobs of a task instance."""
    return run_identity(task_instance).job(task_instance.task_id, task_instance.map_index)


def ended_state(task_instance: Any, was_signalled: bool) -> str:
    """Return the state in which a user ended a task that a worker runs, or '' if it is still wanted.

    The worker's signal alone does not tell: the shutdown of a worker sends the same one.

    :param was_signalled: the worker has sent its signal, so a task that Airflow does not know was deleted
    """
    ti = task_instance
    states = ti.get_task_states(
        dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id], map_index=ti.map_index
    )
    state = next(iter(states.get(ti.run_id, {}).values()), None)
    if state is None:
        return "no such task" if was_signalled else ""
    return "" if str(state) in _WANTED else str(state)
