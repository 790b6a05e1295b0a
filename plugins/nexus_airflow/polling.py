"""Errors of triggers that poll AWS."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from include.aws.refusals import refusal_of
from include.contracts.errors import NexusError

#: After so many failed polls in a row, a trigger passes an error that time does not cure to the worker.
MAX_FAILED_POLLS = 20
POLL_ERRORS = (ClientError, BotoCoreError, NexusError)


class FailedPolls:
    """Counts the polls that failed in a row.

    While AWS cannot be reached, limits the rate of calls, or the credentials have expired, the work goes on.
    Such polls are not counted.

    :param what: the name of what is polled
    """

    def __init__(self, what: str, log: Any) -> None:
        self._what = what
        self._log = log
        self._failed = 0

    def reset(self) -> None:
        """Forget the failed polls, because one has succeeded."""
        self._failed = 0

    def reason_to_stop(self, error: Exception) -> str:
        """Log and count a failed poll. Return the reason to stop polling, or '' to go on."""
        refusal = refusal_of(error)
        if refusal is not None and refusal.passes:
            message = "%s (%s): %s goes on, and is polled again"
            self._log.warning(message, refusal.summary, refusal.what, self._what)
            return ""
        self._failed += 1
        self._log.warning("poll %s of %s failed: %s", self._failed, self._what, error)
        if self._failed < MAX_FAILED_POLLS:
            return ""
        return f"{self._failed} polls failed: {error}"
