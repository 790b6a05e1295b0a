"""The shape that all jobs share: ``--request URI`` in, progress, one JSON line out, errors that read well."""

from __future__ import annotations

import argparse
import errno
import json
import re
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from include.contracts.errors import NexusError
from spark_jobs import storage

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Job = Callable[["SparkSession", str], dict[str, Any]]

_REMOTE_ERROR = re.compile(r"^include\.contracts\.errors\.\w+: (.+)$", re.MULTILINE)


def run_job(name: str, job: Job, argv: Sequence[str] | None, description: str | None) -> int:
    """Run ``job`` on the request that the arguments name; 0, or 2 after an error for the user.

    Glue adds arguments of its own (--JOB_NAME, --TempDir, all that a job's definition has): they are ignored.
    """
    parser = argparse.ArgumentParser(prog=name, description=description, allow_abbrev=False)
    parser.add_argument("--request", required=True, help="URI of the CorpusRequest: s3://, file:// or a path")
    arguments, _ = parser.parse_known_args(argv)
    request = storage.absolute(arguments.request)  # it is named in the manifest, which others read elsewhere
    return run_with_session(name, lambda spark: job(spark, request))


def run_with_session(name: str, job: Callable[[SparkSession], dict[str, Any]]) -> int:
    """Run ``job`` in the Spark session and print what it returns as the last line."""
    from spark_jobs.session import spark_session

    try:
        result = job(spark_session(f"nexus-llm {name}"))
    except Exception as error:
        message = readable(error)
        if message is None:
            raise
        print(f"error: {message}", file=sys.stderr, flush=True)
        return 2
    print(json.dumps({"job": name, **result}, sort_keys=True), flush=True)
    return 0


def end(code: int) -> None:
    """End a job's process. A success just ends: an engine may take any SystemExit for a failure."""
    if code:
        raise SystemExit(code)


def readable(error: Exception) -> str | None:
    """The message of an error that a user can mend, also out of a Spark task; None for a defect."""
    if isinstance(error, NexusError):
        return str(error)
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"the disk is full; to do: free space and start the job again, it resumes ({error})"
    if type(error).__module__.split(".")[0] not in ("py4j", "pyspark"):
        return None
    text = str(error)
    if match := _REMOTE_ERROR.search(text):
        return match[1].strip()
    if "No space left on device" in text:
        return "the disk is full; to do: free space and start the job again, it resumes"
    return None
