"""The decorators ``@kernel`` and ``@array_kernel``: they compile with numba and cache the code on disk.

numba's own cache key is the path and time of the source file. It does not serve here: Spark unpacks the code
of each job under a new path, and a kernel must be compiled again if a kernel of another module that it calls
has changed. The key used here is the content of all modules that define kernels and of this package. All
worker processes share the cache.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import re
import stat
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

#: A position in an Arrow buffer; numba passes np.int64 to kernels.
Integer = int | np.int64


def cache_folder() -> Path:
    """Return ``NUMBA_CACHE_DIR``, or a folder of this user in the system's temporary folder."""
    given = os.environ.get("NUMBA_CACHE_DIR")
    return Path(given) if given else Path(tempfile.gettempdir()) / f"nexus-llm-kernels-{getpass.getuser()}"


def _is_private(folder: Path) -> bool:
    """Make the folder for this user alone. Return False if somebody else owns it or may write into it.

    numba unpickles what it finds there, so whoever writes into the folder runs code as this user.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    is_own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    return is_own and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


@lru_cache(maxsize=1)
def _kernel_sources_hash() -> str:
    """Hash every module of spark_jobs that defines kernels, because kernels call those of other modules."""
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
    """Tells numba where to cache the machine code of one kernel, and under which key."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._name = f"{function.__module__}-{function.__code__.co_firstlineno}"

    def get_cache_path(self) -> str:
        """Return the cache folder. There is one for each content of the kernel modules."""
        return str(cache_folder() / _kernel_sources_hash()[:16])

    def get_source_stamp(self) -> str:
        """Return the hash of all kernel modules, so that an edit of one kernel recompiles all."""
        return _kernel_sources_hash()

    def get_disambiguator(self) -> str:
        """Return the module and line of the kernel, which tell kernels of the same name apart."""
        return self._name

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> PackageCacheLocator | None:
        """Return the locator, or None to let numba use its own: the folder is not writable or not private."""
        locator = cls(py_func)
        try:
            if not _is_private(cache_folder()):
                return None
            Path(locator.get_cache_path()).mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=locator.get_cache_path()).close()
        except OSError:
            return None
        return locator


def kernel(function: F) -> F:
    """Compile ``function`` on its first call, or load the machine code from the cache.

    It may write into arrays that it is given, but makes and returns none: its references to arrays are not
    counted, because in short functions that takes longer than the work. Raises TypeError if it is annotated
    to return an array.
    """
    if "NDArray" in str(function.__annotations__.get("return")):
        raise TypeError(f"{function.__name__} returns an array: decorate it with array_kernel")
    return _compiled(function, counts_references=False)


def array_kernel(function: F) -> F:
    """Compile a function that makes or returns arrays, or calls one that returns an array."""
    return _compiled(function, counts_references=True)


def _compiled(function: F, counts_references: bool) -> F:
    settings: Any = numba.config
    settings.CACHE_LOCATOR_CLASSES = f"{__name__}.PackageCacheLocator,UserWideCacheLocator"
    try:
        # numba's own functions for GPUs and callbacks use this option; its type stubs leave it out
        options: dict[str, Any] = {"cache": True, "nogil": True, "_nrt": counts_references}
        compiled: F = cast(F, numba.njit(**options)(function))
    finally:
        settings.CACHE_LOCATOR_CLASSES = ""
    return compiled
