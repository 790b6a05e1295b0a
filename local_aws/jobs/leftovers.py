"""Jobs of a local_aws that was killed: they run in sessions of their own and outlive it."""

from __future__ import annotations

import time
from pathlib import Path

from local_aws.errors import LocalAwsError
from local_aws.jobs.processes import kill_marked
from local_aws.jobs.supervisor import root_marker
from local_aws.root_lock import lock_root

#: The threads of a killed server may hold its lock for a moment after the process counts as dead.
_LOCK_SECONDS = 2.0


def end_leftovers(root: Path) -> int:
    """End the job processes of ``root`` when no local_aws serves it; returns how many there were.

    They are known by the marker of this folder in their environment, as the next start of local_aws knows
    them. SIGKILL, and no exit status: that next start shall find a job that vanished, not one that ended.
    """
    if not root.is_dir():
        return 0
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            with lock_root(root):
                return kill_marked(root_marker(root))
        except LocalAwsError:
            if time.monotonic() > deadline:
                return 0  # the jobs are those of a server that lives
        time.sleep(0.05)
