"""A trigger that waits for one deployment of an ECS service, and rolls it back if a user ends the task."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from include.aws.rollouts import Rollouts, RolloutState
from nexus_airflow.polling import POLL_ERRORS, FailedPolls


class RolloutTrigger(BaseTrigger):
    """Fires once with ``{"state": …, "reason": …}``; ``timeout`` after ``deadline`` (seconds since 1970)."""

    def __init__(
        self, cluster: str, service: str, deployment_arn: str, poll_interval_seconds: float, deadline: float
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.cluster = cluster
        self.service = service
        self.deployment_arn = deployment_arn
        self.poll_interval_seconds = poll_interval_seconds
        self.deadline = deadline

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return class path and arguments, which are all of the trigger's state."""
        return (
            "nexus_airflow.triggers.rollout.RolloutTrigger",
            {
                "cluster": self.cluster,
                "service": self.service,
                "deployment_arn": self.deployment_arn,
                "poll_interval_seconds": self.poll_interval_seconds,
                "deadline": self.deadline,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll until the deployment has ended or the deadline has passed."""
        failed = FailedPolls(f"deployment {self.deployment_arn}", self.log)
        while True:
            try:
                view = await asyncio.to_thread(self._rollouts().look, self.deployment_arn)
            except POLL_ERRORS as error:
                if reason := failed.reason_to_stop(error):
                    yield _event("unknown", reason)
                    return
            else:
                failed.reset()
                if view.state is not RolloutState.ACTIVE:
                    yield _event(view.state.value, view.reason)
                    return
            if time.time() > self.deadline:
                yield _event("timeout", "")
                return
            await asyncio.sleep(self.poll_interval_seconds)

    async def on_kill(self) -> None:
        """Roll back to the old revision, because mark-failed or clear has ended the trigger."""
        await asyncio.to_thread(self._rollouts().stop, self.deployment_arn)

    def _rollouts(self) -> Rollouts:
        return Rollouts(self.cluster, self.service)


def _event(state: str, reason: str) -> TriggerEvent:
    return TriggerEvent({"state": state, "reason": reason})  # type: ignore[no-untyped-call]
