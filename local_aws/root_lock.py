"""Who serves a folder: one local_aws at a time, known by a lock that the kernel drops with its process."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO

from local_aws.errors import LocalAwsError


def lock_root(root: Path) -> IO[str]:
    """Hold ``root`` until the answer is closed: two servers on one folder would mix their uploads."""
    lock = (root / ".lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise LocalAwsError(
            "another local_aws serves this folder",
            where=str(root),
            remedy="stop it, or choose another --root",
        ) from error
    return lock
