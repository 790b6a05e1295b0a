"""``@kernel``: numba with an on-disk cache that all worker processes, jobs and layouts share.

numba keys its cache by the path of the source file and by that file alone. The jobs travel as a zip that
Spark unpacks under a new name each time, and kernels call kernels of other modules. The key here is
therefore the content of every module that defines kernels, and of this package.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from functools import lru_cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba.core.caching import _CacheLocator

F = TypeVar("F", bound=Callable[..., Any])

#: A module with such an import may define kernels or hold the tables that kernels read.
_IMPORTS_KERNEL = re.compile(rb"^(from spark_jobs\.kernels\b|import numba)", re.M)

#: Positions within Arrow buffers, as kernels see them.
Integer = int | np.int64


def cache_folder() -> Path:
    """``NUMBA_CACHE_DIR``, else a folder of this user's in the system's temporary folder."""
    given = os.environ.get("NUMBA_CACHE_DIR")
    return Path(given) if given else Path(tempfile.gettempdir()) / f"nexus-llm-kernels-{getpass.getuser()}"


@lru_cache(maxsize=1)
def _kernel_sources_hash() -> str:
    """Hash every module of spark_jobs that defines kernels: kernels call kernels of other modules."""
    digest = hashlib.sha256()
    for name, content in sorted(_modules(resources.files("spark_jobs"), "")):
        if _IMPORTS_KERNEL.search(content):
            digest.update(name.encode() + b"\0" + content)
    return digest.hexdigest()


def _modules(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _modules(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".py"):
            yield f"{prefix}{entry.name}", entry.read_bytes()


class PackageCacheLocator(_CacheLocator):  # type: ignore[misc]
    """The place where numba keeps the machine code of one kernel."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._name = f"{function.__module__}-{function.__code__.co_firstlineno}"

    def get_cache_path(self) -> str:
        """A folder for each content of the kernel modules."""
        return str(cache_folder() / _kernel_sources_hash()[:16])

    def get_source_stamp(self) -> str:
        """Any edit of any kernel recompiles all of them."""
        return _kernel_sources_hash()

    def get_disambiguator(self) -> str:
        """Functions of one name differ by module, and within a module by line."""
        return self._name

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
