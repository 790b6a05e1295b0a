"""A trigger that waits for a job of SageMaker, EMR, EMR Serverless or Glue, and stops it with its task."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from include.aws.job_states import JobKind, JobState, JobView
from include.aws.jobs import Jobs, jobs_of
from nexus_airflow.job_log import ProgressWatch
from nexus_airflow.polling import POLL_ERRORS, FailedPolls


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
        failed = FailedPolls(f"job {self.name}", self.log)
        progress = ProgressWatch(JobKind(self.kind))
        while True:
            try:
                view = await asyncio.to_thread(self._look)
            except POLL_ERRORS as error:
                if reason := failed.reason_to_stop(error):
                    yield _event("unknown", reason)
                    return
            else:
                failed.reset()
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
        self.log.info("the task was marked or cleared: stop %s", self.name)
        await asyncio.to_thread(self._jobs().stop, self.name)

    def _look(self) -> JobView:
        return self._jobs().describe(self.name)

    def _jobs(self) -> Jobs:
        return jobs_of(JobKind(self.kind), self.scope)


def _event(state: str, reason: str) -> TriggerEvent:
    return TriggerEvent({"state": state, "reason": reason})  # type: ignore[no-untyped-call]
