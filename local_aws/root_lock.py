"""A file lock, so that at most one local_aws serves a folder. It is released when the process ends."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO

from local_aws.errors import LocalAwsError


def lock_root(root: Path) -> IO[str]:
    """Lock ``root`` until the returned file is closed: two servers on one folder would mix their uploads.

    Raises LocalAwsError if another process holds the lock.
    """
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
