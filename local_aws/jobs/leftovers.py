"""Ends the jobs of a local_aws that was killed. They run in separate sessions and survive it."""

from __future__ import annotations

import time
from pathlib import Path

from local_aws.errors import LocalAwsError
from local_aws.jobs.processes import kill_marked
from local_aws.jobs.supervisor import root_marker
from local_aws.root_lock import lock_root

#: The lock of a killed server may be held for a moment after its process has ended.
_LOCK_SECONDS = 2.0


def end_leftovers(root: Path) -> int:
    """End the job processes of ``root`` if no local_aws serves it. Return their number.

    The marker of this folder in their environment identifies them. SIGKILL leaves no exit status, so that
    the next start of local_aws finds a job that vanished, not one that ended.
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
                return 0  # the jobs belong to a running server
        time.sleep(0.05)
