"""Wait for one job of SageMaker, EMR or Glue; stop it when a user ends the task."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent
from botocore.exceptions import BotoCoreError, ClientError

from include.aws.job_states import JobState, JobView
from include.aws.jobs import JobKind, Jobs, jobs_of

#: Failed looks in a row that a trigger bears before it hands the error to the worker: AWS has bad minutes.
MAX_FAILED_LOOKS = 20


class JobTrigger(BaseTrigger):
    """Fires once, when the job of this name is over: ``{"state": …, "reason": …}``.

    There is no limit on the number of looks: how long a job may take is the job's own limit.
    """

    def __init__(self, kind: str, name: str, scope: str, poll_interval_seconds: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kind = kind
        self.name = name
        self.scope = scope
        self.poll_interval_seconds = poll_interval_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments: all there is to this trigger."""
        return (
            "nexus_airflow.triggers.job.JobTrigger",
            {
                "kind": self.kind,
                "name": self.name,
                "scope": self.scope,
                "poll_interval_seconds": self.poll_interval_seconds,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until the job is over."""
        failed_looks = 0
        while True:
            try:
                view = await asyncio.to_thread(self._look)
            except (ClientError, BotoCoreError) as error:
                failed_looks += 1
                self.log.warning("look %s at %s failed: %s", failed_looks, self.name, error)
                if failed_looks >= MAX_FAILED_LOOKS:
                    yield _event("unknown", f"{failed_looks} looks failed: {error}")
                    return
            else:
                failed_looks = 0
                if view.state.is_terminal or view.state is JobState.ABSENT:
                    yield _event(view.state.value, view.reason)
                    return
            await asyncio.sleep(self.poll_interval_seconds)

    async def on_kill(self) -> None:
        """Mark-failed, mark-success and clear stop the job."""
        await asyncio.to_thread(self._jobs().stop, self.name)

    def _look(self) -> JobView:
        return self._jobs().describe(self.name)

    def _jobs(self) -> Jobs:
        return jobs_of(JobKind(self.kind), self.scope)


def _event(state: str, reason: str) -> TriggerEvent:
    return TriggerEvent({"state": state, "reason": reason})  # type: ignore[no-untyped-call]
