"""Reads the last lines and the newest progress line of a job's log.

SageMaker and Glue write to CloudWatch Logs while a job runs. EMR and EMR Serverless copy the output of the
driver to S3 every few minutes and at the end.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from include.aws.clients import client
from include.aws.job_states import JobKind
from include.contracts.storage import S3Uri
from include.object_store import ObjectStore
from include.settings import Settings

#: CloudWatch's log groups of each kind. The one with Python's errors is last, so that they end the tail.
LOG_GROUPS = {
    JobKind.TRAINING: ("/aws/sagemaker/TrainingJobs",),
    JobKind.PROCESSING: ("/aws/sagemaker/ProcessingJobs",),
    JobKind.GLUE: ("/aws-glue/jobs/output", "/aws-glue/jobs/error"),
}
#: The output files of the driver below a job's log prefix in S3, in the same order.
_FILES = {
    JobKind.EMR_STEP: ("stdout.gz", "stderr.gz"),
    JobKind.EMR_SERVERLESS: ("SPARK_DRIVER/stdout.gz", "SPARK_DRIVER/stderr.gz"),
}
#: Every job prints the first, the trainer also the second.
_PROGRESS = (re.compile(r"progress: .+"), re.compile(r"step=\d+ .+"))
_STREAMS = 5
_EVENTS = 200
#: A larger compressed file is not read, because its last lines cannot be read without the rest.
_LARGEST_FILE_BYTES = 16 << 20
_LONGEST_LINE = 400


@dataclass(frozen=True)
class JobLog:
    """The log of one job; ``prefix`` is ``JobView.log_prefix``."""

    settings: Settings
    kind: JobKind
    prefix: str

    def tail(self, lines: int = 30) -> list[str]:
        """Return the last lines of each of the log's files or streams, a title line before each."""
        found = []
        for title, content in self._parts():
            last = list(content)[-lines:]
            if last:
                found += [f"--- {title}", *(line[:_LONGEST_LINE] for line in last)]
        return found

    def progress(self) -> str:
        """Return the newest progress line and the trainer's newest figures, '' if there is neither."""
        newest = ["" for _ in _PROGRESS]
        for _, content in self._parts():
            for line in content:
                for number, pattern in enumerate(_PROGRESS):
                    if match := pattern.search(line):
                        newest[number] = match[0]
        return ", ".join(filter(None, newest))[:_LONGEST_LINE]

    def _parts(self) -> Iterator[tuple[str, Iterator[str]]]:
        if not self.prefix:
            return
        for group in LOG_GROUPS.get(self.kind, ()):
            yield from _cloudwatch(group, self.prefix)
        for name in _FILES.get(self.kind, ()):
            uri = S3Uri.parse(log_uri(self.settings, self.kind)) / f"{self.prefix}{name}"
            yield str(uri), _unpacked(uri)


def log_uri(settings: Settings, kind: JobKind) -> str:
    """Return the prefix in S3 of the logs of a kind of job; empty for those in CloudWatch."""
    if kind is JobKind.EMR_STEP:
        return settings.emr.log_uri
    return settings.emr_serverless.log_uri if kind is JobKind.EMR_SERVERLESS else ""


def _cloudwatch(group: str, prefix: str) -> Iterator[tuple[str, Iterator[str]]]:
    """Yield the newest lines of the first streams of a job: with several hosts, those of the first ones."""
    logs = client("logs")
    try:
        found = logs.describe_log_streams(
            logGroupName=group, logStreamNamePrefix=prefix, orderBy="LogStreamName", limit=_STREAMS
        )["logStreams"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        return
    for stream in found:
        name = stream["logStreamName"]
        # train-g1 is not train-g12
        if re.match(r"[A-Za-z0-9]", name[len(prefix) :]):
            continue
        yield f"{group} {name}", _messages(logs, group, name)


def _messages(logs: Any, group: str, stream: str) -> Iterator[str]:
    answer = logs.get_log_events(logGroupName=group, logStreamName=stream, limit=_EVENTS, startFromHead=False)
    for event in answer["events"]:
        yield from str(event["message"]).splitlines()


def _unpacked(uri: S3Uri) -> Iterator[str]:
    """Yield the last lines of a gzip file, or nothing if it does not exist."""
    store = ObjectStore()
    found = store.find(uri)
    if found is None:
        return
    if found.size_bytes > _LARGEST_FILE_BYTES:
        yield f"(not shown: {found.size_bytes >> 20} MiB packed)"
        return
    last: deque[str] = deque(maxlen=_EVENTS)
    try:
        with gzip.open(io.BytesIO(store.read(uri)), "rt", errors="replace") as lines:
            for line in lines:
                last.append(line.rstrip("\n"))
    except (OSError, EOFError, zlib.error) as error:
        last.append(f"(the file cannot be unpacked to its end: {error})")
    yield from last
