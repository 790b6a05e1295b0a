"""The entry point that all jobs share: ``--request URI``, progress, one line of JSON, readable errors."""

from __future__ import annotations

import argparse
import errno
import importlib
import json
import re
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from include.contracts.errors import NexusError
from include.contracts.job_errors import JobError
from include.contracts.records import canonical_json
from include.object_store import STORE
from include.object_store.locations import absolute
from spark_jobs.corpus_version.layout import VersionLayout

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_DISK_FULL = (
    "the disk is full; to do: free space and start the job again; it continues after the last complete stage"
)
JobFunction = Callable[["SparkSession", str], dict[str, Any]]

#: The last line of a Python traceback.
_PYTHON_ERROR = re.compile(r"^(?:\w+\.)*\w+(?:Error|Exception|Exit|Interrupt): .+$", re.MULTILINE)
_LONGEST_LINE = 500
#: The last line of a traceback that ends with an error of this project: module, class and message.
_REMOTE_ERROR = re.compile(r"^((?:include|spark_jobs)(?:\.\w+)+)\.(\w+): (.+)$", re.MULTILINE)


def run_job(name: str, job: JobFunction, argv: Sequence[str] | None, description: str | None) -> int:
    """Run ``job`` on the request that the arguments name. Return 0, or 2 after an error for the user.

    Glue adds its own arguments, such as --JOB_NAME and --TempDir. They are ignored.
    """
    parser = argparse.ArgumentParser(prog=name, description=description, allow_abbrev=False)
    parser.add_argument("--request", required=True, help="URI of the CorpusRequest: s3://, file:// or a path")
    arguments, _ = parser.parse_known_args(argv)
    request = absolute(arguments.request)  # the manifest names it, and is read on other machines
    layout = VersionLayout(request.rpartition("/")[0])
    return run_with_session(name, lambda spark: job(spark, request), layout)


def run_with_session(
    name: str, job: Callable[[SparkSession], dict[str, Any]], layout: VersionLayout | None = None
) -> int:
    """Run ``job`` in the Spark session and print what it returns as the last line.

    An error is also written to ``layout``, where the task that waits for the job reads it.
    """
    from spark_jobs.runtime.session import spark_session

    try:
        result = job(spark_session(f"nexus-llm {name}"))
    except Exception as error:
        told = readable(error)
        if layout:
            _leave(told or defect(error), layout.error(name))
        if told is None:
            raise
        print(f"error: {told.message}", file=sys.stderr)
        return 2
    print(json.dumps({"job": name, **result}, sort_keys=True), flush=True)
    return 0


def end(code: int) -> None:
    """End a job's process. Success raises no SystemExit, since an engine may count any as a failure."""
    if code:
        raise SystemExit(code)


def readable(error: Exception) -> JobError | None:
    """Return the error if the user can repair it, also one from a Spark task; None for a defect."""
    if isinstance(error, NexusError):
        return JobError(_agreed_kind(type(error)), str(error))
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return JobError("OSError", f"{_DISK_FULL} ({error})")
    if type(error).__module__.split(".")[0] not in ("py4j", "pyspark"):
        return None
    text = str(error)
    for module, name, message in reversed(_REMOTE_ERROR.findall(text)):  # its causes come before an error
        if kind := _error_class(module, name):
            return JobError(_agreed_kind(kind), message.strip())
    return JobError("OSError", _DISK_FULL) if "No space left on device" in text else None


def _error_class(module: str, name: str) -> type[NexusError] | None:
    """Return the class of a project error by its full name; None for any other class."""
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError:
        return None
    return found if isinstance(found, type) and issubclass(found, NexusError) else None


def _agreed_kind(kind: type[NexusError]) -> str:
    """Return the class of ``include.contracts.errors`` that an error is: the DAGs know no others."""
    return next(base.__name__ for base in kind.__mro__ if base.__module__ == NexusError.__module__)


def defect(error: Exception) -> JobError:
    """Describe a defect in one line. For one in a Spark task this is Python's error, not Java's."""
    text = str(error)
    lines = _PYTHON_ERROR.findall(text) or text.strip().splitlines()[:1]
    return JobError(type(error).__name__, lines[-1][:_LONGEST_LINE] if lines else "no reason given")


def _leave(error: JobError, uri: str) -> None:
    try:
        STORE.write(uri, canonical_json(error))
    except Exception as failure:  # does not hide the error itself, which is printed
        print(f"the error could not be written to {uri} ({failure})", file=sys.stderr)
