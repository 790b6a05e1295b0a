"""The only access to files and objects, in S3 and in folders of this machine, by URI.

``ObjectStore`` has the operations, ``STORE`` is the one of this process's environment, and ``Folder`` names
files relative to a root. No other package talks to S3.
"""

from __future__ import annotations

from include.object_store.backend import ObjectStat
from include.object_store.errors import (
    AccessDenied,
    ConditionFailed,
    ObjectAbsent,
    StorageRefused,
    StorageUnavailable,
    UploadAbsent,
)
from include.object_store.folder import Folder
from include.object_store.locations import Uri
from include.object_store.store import ObjectStore

#: The store of the environment. It holds no connection, so any thread or process may use it.
STORE = ObjectStore()

__all__ = [
    "STORE",
    "AccessDenied",
    "ConditionFailed",
    "Folder",
    "ObjectAbsent",
    "ObjectStat",
    "ObjectStore",
    "StorageRefused",
    "StorageUnavailable",
    "UploadAbsent",
    "Uri",
]
