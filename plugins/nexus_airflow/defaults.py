"""What every task of every DAG shares."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, RetryRule
from airflow.sdk.definitions.retry_policy import RetryAction

from include.contracts.errors import ContractError, InputError, IntegrityError, RecipeError, SettingsError
from include.settings import load_settings

#: Errors that a second try meets again: what was given is wrong, and a person must mend it.
HOPELESS = (ContractError, InputError, IntegrityError, RecipeError, SettingsError)


def default_args() -> dict[str, Any]:
    """Owner, retries, a time limit, and no retry where it cannot help."""
    settings = load_settings().airflow
    rules = [
        RetryRule(exception=f"{kind.__module__}.{kind.__qualname__}", action=RetryAction.FAIL)
        for kind in HOPELESS
    ]
    return {
        "owner": settings.owner,
        "retries": settings.retries,
        "retry_delay": timedelta(seconds=settings.retry_delay_seconds),
        "execution_timeout": timedelta(minutes=15),
        "retry_policy": ExceptionRetryPolicy(rules=rules),
    }
