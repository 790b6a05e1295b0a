"""Logs of jobs in CloudWatch and S3: how much is read, and of which job."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
from botocore.exceptions import ClientError

from include.aws import job_logs
from include.aws.job_logs import JobLog, log_uri
from include.aws.job_states import JobKind
from include.object_store import ObjectStat
from include.settings import load_settings

SETTINGS = load_settings("dev")


class CloudWatch:
    """CloudWatch Logs with streams by name, each a list of messages."""

    def __init__(self, group: str, **streams: list[str]) -> None:
        self.group = group
        self.streams = streams

    def describe_log_streams(self, **request: Any) -> Any:
        if request["logGroupName"] != self.group:
            raise ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": ""}}, "Describe")
        assert request["orderBy"] == "LogStreamName"
        names = [name for name in sorted(self.streams) if name.startswith(request["logStreamNamePrefix"])]
        return {"logStreams": [{"logStreamName": name} for name in names[: request["limit"]]]}

    def get_log_events(self, **request: Any) -> Any:
        assert request["startFromHead"] is False
        messages = self.streams[request["logStreamName"]][-request["limit"] :]
        return {"events": [{"message": message} for message in messages]}


@pytest.fixture
def cloudwatch(monkeypatch: pytest.MonkeyPatch) -> Any:
    def serve(group: str = "/aws/sagemaker/TrainingJobs", **streams: list[str]) -> JobLog:
        monkeypatch.setattr(job_logs, "client", lambda _: CloudWatch(group, **streams))
        return JobLog(SETTINGS, JobKind.TRAINING, "train-g1")

    return serve


def test_the_last_thirty_lines_of_each_stream_are_shown(cloudwatch: Any) -> None:
    log = cloudwatch(**{"train-g1/a": [f"line {n}\nmore" for n in range(40)], "train-g1/b": ["only"]})
    tail = log.tail()
    assert tail[0] == "--- /aws/sagemaker/TrainingJobs train-g1/a"
    assert tail[1:31] == [text for n in range(25, 40) for text in (f"line {n}", "more")]
    assert tail[31:] == ["--- /aws/sagemaker/TrainingJobs train-g1/b", "only"]


def test_a_job_whose_name_only_begins_alike_is_another_job(cloudwatch: Any) -> None:
    streams = {
        "train-g12/a": ["of another job"],
        "train-g1/a": ["b"],
        "train-g1-b": ["a"],
        "train-g1_c": ["c"],
    }
    assert [line for line in cloudwatch(**streams).tail() if not line.startswith("---")] == ["a", "b", "c"]


def test_five_streams_and_two_hundred_events_are_read(cloudwatch: Any) -> None:
    log = cloudwatch(**{f"train-g1/{n}": ["x"] for n in range(7)})
    assert sum(line.startswith("---") for line in log.tail()) == 5
    log = cloudwatch(**{"train-g1/a": [str(n) for n in range(300)]})
    assert log.tail(lines=1000)[1:] == [str(n) for n in range(100, 300)]


@pytest.mark.parametrize(("length", "shown"), [(400, 400), (401, 400)])
def test_a_line_is_shown_in_part(cloudwatch: Any, length: int, shown: int) -> None:
    assert cloudwatch(**{"train-g1/a": ["x" * length]}).tail()[1] == "x" * shown


def test_the_newest_lines_that_tell_progress_are_found(cloudwatch: Any) -> None:
    lines = ["step=1 loss=9", "2026 progress: read 1/8 shards", "noise", "step=40 loss=3 rate=1", "step=x"]
    assert (
        cloudwatch(**{"train-g1/a": lines}).progress() == "progress: read 1/8 shards, step=40 loss=3 rate=1"
    )
    assert cloudwatch(**{"train-g1/a": lines[2:]}).progress() == "step=40 loss=3 rate=1"
    assert cloudwatch(**{"train-g1/a": ["noise"]}).progress() == ""
    assert len(cloudwatch(**{"train-g1/a": ["progress: " + "x" * 900]}).progress()) == 400


def test_a_job_without_a_log_shows_nothing(cloudwatch: Any) -> None:
    log = cloudwatch(group="/another", **{"train-g1/a": ["x"]})
    assert log.tail() == []
    assert JobLog(SETTINGS, JobKind.TRAINING, "").tail() == []


class Files:
    """S3 with one packed file of a given size."""

    def __init__(self, content: bytes, size: int) -> None:
        self.content, self.size = content, size

    def find(self, uri: Any) -> ObjectStat | None:
        return ObjectStat(str(uri), self.size, "etag") if str(uri).endswith("stderr.gz") else None

    def read(self, uri: Any) -> bytes:
        return self.content


@pytest.mark.parametrize(
    ("size", "shown"), [(16 << 20, "the error"), ((16 << 20) + 1, "(not shown: 16 MiB packed)")]
)
def test_a_file_of_more_than_16_mib_is_not_unpacked(
    monkeypatch: pytest.MonkeyPatch, size: int, shown: str
) -> None:
    monkeypatch.setattr(job_logs, "ObjectStore", lambda: Files(gzip.compress(b"the error\n"), size))
    tail = JobLog(SETTINGS, JobKind.EMR_STEP, "j-1/steps/s-1/").tail()
    assert tail == [f"--- {SETTINGS.emr.log_uri}j-1/steps/s-1/stderr.gz", shown]


def test_spark_on_emr_logs_to_s3_and_the_others_to_cloudwatch() -> None:
    assert log_uri(SETTINGS, JobKind.EMR_STEP) == SETTINGS.emr.log_uri
    assert log_uri(SETTINGS, JobKind.EMR_SERVERLESS) == SETTINGS.emr_serverless.log_uri
    assert {log_uri(SETTINGS, kind) for kind in (JobKind.GLUE, JobKind.TRAINING, JobKind.PROCESSING)} == {""}
