"""Turn a step's body into a task. Airflow's decorators are typed for bodies written in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow.sdk import task


def step(task_id: str, body: Callable[..., Any], *upstream: Any, doc_md: str, **options: Any) -> Any:
    """A TaskFlow task of ``body``, called with the XComs of ``upstream``."""
    return task(task_id=task_id, doc_md=doc_md, **options)(body)(*upstream)


def branch(task_id: str, body: Callable[..., Any], *, doc_md: str) -> Any:
    """A task whose body returns the ids of the tasks that follow; the others are skipped."""
    return task.branch(task_id=task_id, doc_md=doc_md)(body)()


def step_for_each(
    task_id: str, body: Callable[..., Any], argument: str, values: Any, *, doc_md: str, **options: Any
) -> Any:
    """A mapped task: ``body`` once for each element of the XCom ``values``, as its ``argument``."""
    return task(task_id=task_id, doc_md=doc_md, **options)(body).expand(**{argument: values})
