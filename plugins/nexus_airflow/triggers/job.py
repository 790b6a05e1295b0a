"""A trigger that waits for a job of SageMaker, EMR, EMR Serverless or Glue, and stops it with its task."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent
from botocore.exceptions import BotoCoreError, ClientError

from include.aws.job_states import JobKind, JobState, JobView
from include.aws.jobs import Jobs, jobs_of
from include.aws.refusals import refusal_of
from include.contracts.errors import NexusError
from nexus_airflow.job_log import ProgressWatch

#: After so many failed polls in a row, the trigger passes an error that time does not cure to the worker.
MAX_FAILED_LOOKS = 20
_LOOK_ERRORS = (ClientError, BotoCoreError, NexusError)


class JobTrigger(BaseTrigger):
    """Fires once with ``{"state": …, "reason": …}``: at the end of the job, or ``timeout`` at the deadline.

    The number of polls is not limited. ``deadline`` is in seconds since 1970. While AWS cannot be reached or
    the credentials have expired, the job goes on and is polled again. While it runs, the newest progress line
    of its log appears in the task's log.
    """

    def __init__(
        self, kind: str, name: str, scope: str, poll_interval_seconds: float, deadline: float
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kind = kind
        self.name = name
        self.scope = scope
        self.poll_interval_seconds = poll_interval_seconds
        self.deadline = deadline

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return class path and arguments, which are all of the trigger's state."""
        return (
            "nexus_airflow.triggers.job.JobTrigger",
            {
                "kind": self.kind,
                "name": self.name,
                "scope": self.scope,
                "poll_interval_seconds": self.poll_interval_seconds,
                "deadline": self.deadline,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll until the job has ended or the deadline has passed."""
        failed_looks = 0
        progress = ProgressWatch(JobKind(self.kind))
        while True:
            try:
                view = await asyncio.to_thread(self._look)
            except _LOOK_ERRORS as error:
                refusal = refusal_of(error)
                if refusal is not None and refusal.passes:
                    what = "%s (%s): the job %s goes on, and is looked at again"
                    self.log.warning(what, refusal.summary, refusal.what, self.name)
                else:
                    failed_looks += 1
                    self.log.warning("look %s at %s failed: %s", failed_looks, self.name, error)
                if failed_looks >= MAX_FAILED_LOOKS:
                    yield _event("unknown", f"{failed_looks} looks failed: {error}")
                    return
            else:
                failed_looks = 0
                if not view.state.may_change:
                    yield _event(view.state.value, view.reason)
                    return
                if view.state is JobState.ACTIVE and (line := await asyncio.to_thread(progress.news, view)):
                    self.log.info("%s: %s", self.name, line)
            if time.time() >= self.deadline:
                yield _event("timeout", "")
                return
            await asyncio.sleep(self.poll_interval_seconds)

    async def on_kill(self) -> None:
        """Stop the job, because mark-failed, mark-success or clear has ended the trigger."""
        await asyncio.to_thread(self._jobs().stop, self.name)

    def _look(self) -> JobView:
        return self._jobs().describe(self.name)

    def _jobs(self) -> Jobs:
        return jobs_of(JobKind(self.kind), self.scope)


def _event(state: str, reason: str) -> TriggerEvent:
    return TriggerEvent({"state": state, "reason": reason})  # type: ignore[no-untyped-call]
