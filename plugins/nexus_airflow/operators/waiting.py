"""Retries with increasing pauses while AWS lacks quota or capacity, or cannot be reached."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from airflow.providers.standard.triggers.temporal import DateTimeTrigger
from airflow.sdk import BaseOperator, Context
from airflow.sdk.execution_time.context import NEVER_EXPIRE
from botocore.exceptions import BotoCoreError, ClientError

from include.aws.refusals import Refusal, refusal_of
from include.settings import load_settings

T = TypeVar("T")

_STORE_KEY = "waiting"
_LONGEST_PAUSE_SECONDS = 600.0


class WaitingOperator(BaseOperator):
    """An operator that starts again after a pause if AWS lacks quota or capacity, or cannot be reached.

    The pauses double from the poll interval up to ten minutes. The operator raises QuotaExceeded or
    AwsUnavailable after ``airflow.capacity_wait_seconds``, or at once if waiting cannot help. A clear resets
    this time.
    """

    @abstractmethod
    def begin(self, context: Context) -> Any:
        """Do the work of a try, from its first step. It may be called again after a pause."""

    def resume(self, context: Context, event: Any = None) -> Any:
        """Begin again after a pause."""
        return self.patiently(context, self.begin)

    def patiently(self, context: Context, step: Callable[[Context], T]) -> T:
        """Do a step of the work. If AWS refuses it temporarily, pause and begin again."""
        try:
            return step(context)
        except (BotoCoreError, ClientError) as error:
            refusal = refusal_of(error)
            if refusal is None:
                raise
            resumed: T = self.wait_for_room(context, refusal)
            return resumed

    def wait_for_room(self, context: Context, refusal: Refusal) -> Any:
        """Pause and begin again. Raises the refusal's error if that cannot help or took too long."""
        now, clear_number = time.time(), context["dag_run"].clear_number or 0
        stored: Any = context["task_state_store"].get(_STORE_KEY)
        if not isinstance(stored, dict) or stored["clear_number"] != clear_number:
            stored = {"since": now, "waits": 0, "clear_number": clear_number}
        waited = now - stored["since"]
        left = load_settings().airflow.capacity_wait_seconds - waited
        if not refusal.passes or left <= 0:
            raise refusal.error(self.task_id, waited)
        pause = min(self.interval * 2.0 ** min(stored["waits"], 20), _LONGEST_PAUSE_SECONDS, left)
        what = "%s: %s. The next try is in %.0f s"
        self.log.warning(what, refusal.summary, refusal.what, pause)
        self._remember_waiting(context, stored | {"waits": stored["waits"] + 1})
        if self.waits_in_triggerer:
            moment = datetime.fromtimestamp(now + pause, UTC)
            self.defer(trigger=DateTimeTrigger(moment=moment), method_name="resume")
        time.sleep(pause)
        return self.resume(context)

    def found_room(self, context: Context) -> None:
        """Reset the waiting time, because AWS has accepted the request."""
        if context["task_state_store"].get(_STORE_KEY) is not None:
            self._remember_waiting(context, None)

    @property
    def interval(self) -> float:
        """The poll interval in seconds, and the length of the first pause."""
        return load_settings().airflow.poll_interval_seconds

    @property
    def waits_in_triggerer(self) -> bool:
        """Return False to wait on the worker."""
        return True

    @staticmethod
    def _remember_waiting(context: Context, record: dict[str, Any] | None) -> None:
        context["task_state_store"].set(_STORE_KEY, record, retention=NEVER_EXPIRE)
