"""Copies lines of a job's log to the log of its task."""

from __future__ import annotations

import logging
import time

from botocore.exceptions import BotoCoreError, ClientError

from include.aws.job_logs import JobLog
from include.aws.job_states import JobKind, JobView
from include.contracts.errors import NexusError
from include.settings import load_settings

log = logging.getLogger(__name__)

#: The poll interval of a log in seconds. Each poll takes several calls.
_INTERVAL_SECONDS = 10.0
#: Errors of reading a log. They do not affect the job.
_ERRORS = (BotoCoreError, ClientError, NexusError, OSError)


class ProgressWatch:
    """Follows the progress lines of one job."""

    def __init__(self, kind: JobKind, interval_seconds: float = _INTERVAL_SECONDS) -> None:
        self._kind = kind
        self._interval = interval_seconds
        self._next = 0.0
        self._told = ""

    def news(self, view: JobView) -> str:
        """Return the newest progress line if it is new. The log is read only at intervals."""
        if time.monotonic() < self._next:
            return ""
        self._next = time.monotonic() + self._interval
        try:
            line = JobLog(load_settings(), self._kind, view.log_prefix).progress()
        except _ERRORS as error:
            log.debug("the log of the job cannot be read: %s", error)
            return ""
        if line == self._told:
            return ""
        self._told = line
        return line


def last_lines(kind: JobKind, view: JobView) -> str:
    """Return the last lines of a job's log, or the reason why there are none."""
    try:
        lines = JobLog(load_settings(), kind, view.log_prefix).tail()
    except _ERRORS as error:
        return f"the log of the job cannot be read: {error}"
    return "\n".join(lines) if lines else "the job has no log, or its service has not copied it yet"
