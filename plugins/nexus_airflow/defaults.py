"""Defaults that every task of every DAG shares."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, RetryRule
from airflow.sdk.api.datamodels._generated import DagRunType
from airflow.sdk.definitions.retry_policy import RetryAction

from include.aws.refusals import QuotaExceeded
from include.contracts.errors import ContractError, InputError, IntegrityError, RecipeError, SettingsError
from include.settings import load_settings
from nexus_airflow.errors import EngineEnded, JobCancelled, JobTimedOut

#: Errors for which a retry is useless: it would fail in the same way, or a person ended the work.
NON_RETRYABLE = (
    ContractError,
    EngineEnded,
    InputError,
    IntegrityError,
    JobCancelled,
    JobTimedOut,
    QuotaExceeded,
    RecipeError,
    SettingsError,
)

#: All types of runs but backfills, which ignore ``max_active_runs`` and would run the same work in parallel.
RUN_TYPES = sorted(set(DagRunType) - {DagRunType.BACKFILL})


def run_limit(*task_seconds: float) -> timedelta:
    """Return the time limit of a run whose long tasks take at most so many seconds each.

    It is longer than all their tries and their waits for capacity, because Airflow stops the healthy jobs of
    a run that reaches it. It only ends what has no limit of its own.
    """
    settings = load_settings().airflow
    tries = len(task_seconds) * (settings.retries + 1)
    waiting = len(task_seconds) * settings.capacity_wait_seconds + tries * settings.retry_delay_seconds
    return timedelta(days=1, seconds=sum(task_seconds) * (settings.retries + 1) + waiting)


def default_args() -> dict[str, Any]:
    """Return owner, retries and a time limit. Errors that a retry cannot help are not retried.

    Tasks that defer have no ``execution_timeout``, because it counts only the time on a worker. They have
    their own deadline.
    """
    settings = load_settings().airflow
    rules = [
        RetryRule(exception=f"{kind.__module__}.{kind.__qualname__}", action=RetryAction.FAIL)
        for kind in NON_RETRYABLE
    ]
    return {
        "owner": settings.owner,
        "retries": settings.retries,
        "retry_delay": timedelta(seconds=settings.retry_delay_seconds),
        "execution_timeout": timedelta(minutes=15),
        "retry_policy": ExceptionRetryPolicy(rules=rules),
    }
