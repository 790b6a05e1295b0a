"""Lines of a job's log in its task's log: the last ones at the end, the newest progress while it waits."""

from __future__ import annotations

import contextlib
import gzip
import time
from typing import Any

import pytest

from include.aws import job_logs
from include.aws.job_logs import JobLog
from include.aws.job_states import JobKind, JobState, JobView
from include.contracts.storage import S3Uri
from include.object_store import ObjectStore
from include.settings import load_settings
from nexus_airflow.job_log import ProgressWatch, last_lines

SETTINGS = load_settings("dev")
STEP = "j-1/steps/s-1/"


@pytest.fixture
def step_logs(aws: Any) -> Any:
    """Put the output files of a step."""
    aws.client("s3").create_bucket(Bucket=S3Uri.parse(SETTINGS.emr.log_uri).bucket)
    store, root = ObjectStore(), S3Uri.parse(SETTINGS.emr.log_uri) / STEP
    store.delete_folder(root)

    def put(**files: bytes) -> None:
        for name, content in files.items():
            store.write(root / f"{name}.gz", content)

    return put


def test_the_log_of_a_step_shows_both_its_files_and_ends_with_the_error(step_logs: Any) -> None:
    lines = "".join(f"line {n}\n" for n in range(5000)).encode()
    step_logs(stdout=gzip.compress(lines), stderr=gzip.compress(b"KeyError: text\n"))
    tail = JobLog(SETTINGS, JobKind.EMR_STEP, STEP).tail(lines=3)
    assert [line for line in tail if not line.startswith("---")] == [
        "line 4997", "line 4998", "line 4999", "KeyError: text"
    ]  # fmt: skip


def test_the_newest_progress_line_is_found_and_reported_once(step_logs: Any) -> None:
    view = JobView(JobState.ACTIVE, log_prefix=STEP)
    watch = ProgressWatch(JobKind.EMR_STEP, interval_seconds=0)
    assert watch.news(view) == ""  # nothing was copied to S3 yet
    step_logs(stdout=gzip.compress(b"progress: clean 1/9 shards\nother\nprogress: clean 2/9 shards\n"))
    assert watch.news(view) == "progress: clean 2/9 shards"
    assert watch.news(view) == ""
    step_logs(stdout=gzip.compress(b"progress: clean 3/9 shards\n"))
    assert watch.news(view) == "progress: clean 3/9 shards"


@pytest.mark.parametrize("packed", [b"no gzip", gzip.compress(b"progress: x\n" * 9)[:-9], b""])
def test_a_log_that_cannot_be_read_to_its_end_fails_nothing(step_logs: Any, packed: bytes) -> None:
    step_logs(stdout=packed, stderr=gzip.compress(b"the error\n"))
    text = last_lines(JobKind.EMR_STEP, JobView(JobState.FAILED, log_prefix=STEP))
    assert "the error" in text


def test_a_large_log_is_not_fetched(step_logs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_logs, "_LARGEST_FILE_BYTES", 10)
    step_logs(stdout=gzip.compress(b"progress: clean 1/9 shards\n"))
    assert any("not shown" in line for line in JobLog(SETTINGS, JobKind.EMR_STEP, STEP).tail())


@pytest.mark.parametrize(
    ("kind", "group", "prefix", "stream"),
    [
        (JobKind.TRAINING, "/aws/sagemaker/TrainingJobs", "logs-g1", "logs-g1/algo-1-1"),
        (JobKind.GLUE, "/aws-glue/jobs/output", "jr_log1", "jr_log1"),
    ],
)
def test_the_log_of_another_job_whose_name_begins_alike_is_not_shown(
    aws: Any, kind: JobKind, group: str, prefix: str, stream: str
) -> None:
    logs = aws.client("logs")
    for one in (stream, stream.replace(prefix, f"{prefix}2")):
        for create in (
            lambda: logs.create_log_group(logGroupName=group),
            lambda one=one: logs.create_log_stream(logGroupName=group, logStreamName=one),
        ):
            try:
                create()
            except logs.exceptions.ResourceAlreadyExistsException:
                continue
        event = {"timestamp": int(time.time() * 1000), "message": f"progress: of {one}"}
        logs.put_log_events(logGroupName=group, logStreamName=one, logEvents=[event])
    log = JobLog(SETTINGS, kind, prefix)
    assert log.progress() == f"progress: of {stream}"
    assert f"progress: of {stream}" in log.tail()
    assert not any(f"{prefix}2" in line for line in log.tail())


def test_the_log_of_a_glue_run_ends_with_the_lines_of_its_error_group(aws: Any) -> None:
    logs, run = aws.client("logs"), "jr_error1"
    for part in ("error", "output"):
        names = {"logGroupName": f"/aws-glue/jobs/{part}"}
        with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
            logs.create_log_group(**names)
        names["logStreamName"] = run
        logs.create_log_stream(**names)
        logs.put_log_events(**names, logEvents=[{"timestamp": int(time.time() * 1000), "message": part}])
    tail = JobLog(SETTINGS, JobKind.GLUE, run).tail()
    assert [line for line in tail if not line.startswith("---")] == ["output", "error"]


def test_a_job_without_a_log_says_so(aws: Any) -> None:
    assert "no log" in last_lines(JobKind.TRAINING, JobView(JobState.FAILED, log_prefix="never-g1"))
