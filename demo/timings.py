"""Compute the waiting and running times of the tasks of a run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class TaskTiming:
    """The times of one task of one run: ``queued_seconds`` until a worker took it, then ``running_seconds``.

    Waiting starts at the end of the last upstream task, or at the start of the run. Airflow's own
    ``queued_when`` cannot be used: for a deferred task it is the time of its resumption.
    """

    dag: str
    task: str
    state: str
    tries: int
    queued_seconds: float
    running_seconds: float


def task_timings(
    dag_id: str, began: str, instances: Sequence[Mapping[str, Any]], downstream: Mapping[str, Sequence[str]]
) -> list[TaskTiming]:
    """Return the times of each task instance that ran, in the order of their start.

    ``began`` is the start of the run in ISO 8601; ``downstream`` maps a task to the tasks that follow it.
    """
    ready: defaultdict[str, datetime] = defaultdict(lambda: datetime.fromisoformat(began))
    ran = [task for task in instances if task["start_date"] and task["end_date"]]
    for task in ran:
        for follower in downstream.get(task["task_id"], ()):
            ready[follower] = max(ready[follower], datetime.fromisoformat(task["end_date"]))
    timings = []
    for task in sorted(ran, key=lambda task: datetime.fromisoformat(task["start_date"])):
        started, ended = (datetime.fromisoformat(task[key]) for key in ("start_date", "end_date"))
        timings.append(
            TaskTiming(
                dag=dag_id,
                task=task["task_id"],
                state=str(task["state"]),
                tries=int(task["try_number"]),
                queued_seconds=round(max(0.0, (started - ready[task["task_id"]]).total_seconds()), 2),
                running_seconds=round((ended - started).total_seconds(), 2),
            )
        )
    return timings
