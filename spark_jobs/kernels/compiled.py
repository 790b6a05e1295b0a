"""``@kernel``: numba with an on-disk cache that all worker processes, jobs and layouts share.

numba keys its cache by the path of the source file and by that file alone. The jobs travel as a zip that
Spark unpacks under a new name each time, and kernels call kernels of other files: so the key here is the
content of the whole package.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import tempfile
from collections.abc import Callable
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba.core.caching import _CacheLocator

F = TypeVar("F", bound=Callable[..., Any])

#: Positions within Arrow buffers, as kernels see them.
Integer = int | np.int64


def cache_folder() -> Path:
    """``NUMBA_CACHE_DIR``, else a folder of this user's in the system's temporary folder."""
    given = os.environ.get("NUMBA_CACHE_DIR")
    return Path(given) if given else Path(tempfile.gettempdir()) / f"nexus-llm-kernels-{getpass.getuser()}"


@lru_cache(maxsize=1)
def _package_hash() -> str:
    digest = hashlib.sha256()
    for entry in sorted(resources.files(__package__).iterdir(), key=lambda item: item.name):
        if entry.name.endswith(".py"):
            digest.update(entry.name.encode() + b"\0" + entry.read_bytes())
    return digest.hexdigest()


class PackageCacheLocator(_CacheLocator):  # type: ignore[misc]
    """Where numba keeps the machine code of one function of this package."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._line = function.__code__.co_firstlineno

    def get_cache_path(self) -> str:
        """A folder per content of the package."""
        return str(cache_folder() / _package_hash()[:16])

    def get_source_stamp(self) -> str:
        """Any edit of any kernel recompiles all of them."""
        return _package_hash()

    def get_disambiguator(self) -> str:
        """Functions of one name in one file differ by line."""
        return str(self._line)

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> PackageCacheLocator | None:
        """The locator, or None (numba then tries its own) where the folder cannot be written."""
        locator = cls(py_func)
        try:
            Path(locator.get_cache_path()).mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=locator.get_cache_path()).close()
        except OSError:
            return None
        return locator


def kernel(function: F) -> F:
    """Compile on first call, or load what any process on this machine compiled before."""
    settings: Any = numba.config
    settings.CACHE_LOCATOR_CLASSES = f"{__name__}.PackageCacheLocator,UserWideCacheLocator"
    try:
        compiled: F = cast(F, numba.njit(cache=True, nogil=True)(function))
    finally:
        settings.CACHE_LOCATOR_CLASSES = ""
    return compiled
