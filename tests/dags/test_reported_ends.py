"""The end of a job is reported once, also if its worker was lost or AWS failed in between."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred
from botocore.exceptions import ClientError

from include.aws.job_specs import ProcessingJobSpec
from include.aws.job_states import JobKind, JobState
from include.aws.jobs import jobs_of
from include.aws.processing import processing_job
from include.aws.sagemaker import ProcessingJobs
from include.settings import load_settings
from nexus_airflow.errors import JobCancelled, JobFailed
from nexus_airflow.operators.processing import SageMakerProcessingOperator
from tests.dags.conftest import Task
from tests.support.waiting import wait_until

BUCKET = "nexus-llm-models"
_SLEEP = "import time; time.sleep(60)"


def operator(code: str = _SLEEP, **options: Any) -> SageMakerProcessingOperator:
    settings = load_settings("dev")
    request = processing_job(settings, settings.images.training, "x", [])
    request["AppSpecification"]["ContainerEntrypoint"] = ["python", "-c", code]
    request["AppSpecification"]["ContainerArguments"] = ["x"]
    marker = f"s3://{BUCKET}/reported/never.json"
    spec = ProcessingJobSpec(
        kind=JobKind.PROCESSING, request=request, limit_seconds=600, marker_uri=marker, **options
    )
    return SageMakerProcessingOperator(task_id="process", job=spec, poll_interval_seconds=0.2)


def state_of(name: str) -> JobState:
    return jobs_of(JobKind.PROCESSING).describe(name).state


def ended(name: str) -> JobState:
    return wait_until(lambda: state_of(name), lambda state: not state.may_change)


@pytest.fixture
def started(aws: Any, task: Task) -> Iterator[Any]:
    """Start a job and leave it to its trigger. Return its name."""
    aws.client("s3").create_bucket(Bucket=BUCKET)

    def start(code: str = _SLEEP) -> str:
        one = operator(code)
        with pytest.raises(TaskDeferred):
            one.execute(task.context(one))
        return str(task.xcoms["job_name"])

    yield start
    jobs_of(JobKind.PROCESSING).stop(task.xcoms["job_name"])


def retry(task: Task, code: str = _SLEEP) -> Any:
    """Do the next try of the task, as after the loss of a worker."""
    return task.run(operator(code))


def test_a_retry_reports_that_a_person_cancelled_the_job_and_does_not_start_it_again(
    started: Any, task: Task
) -> None:
    first = started()
    jobs_of(JobKind.PROCESSING).stop(first)
    assert ended(first) is JobState.STOPPED
    with pytest.raises(JobCancelled, match=r"cancelled outside of Airflow.*clear this task"):
        retry(task)
    assert task.xcoms["job_name"] == first
    task.clear()
    assert started() == first.replace("-g1", "-g2")


def test_a_retry_waits_for_the_end_of_a_job_that_a_person_is_cancelling(
    started: Any, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = started()
    jobs_of(JobKind.PROCESSING).stop(first)
    assert ended(first) is JobState.STOPPED
    describe, looks = ProcessingJobs.describe, [JobState.STOPPING]

    def stopping_first(self: ProcessingJobs, name: str) -> Any:
        view = describe(self, name)
        return replace(view, state=looks.pop()) if looks else view

    monkeypatch.setattr(ProcessingJobs, "describe", stopping_first)
    with pytest.raises(JobCancelled):
        retry(task)
    assert (task.xcoms["job_name"], looks) == (first, [])


def test_a_failure_is_reported_by_the_first_retry_and_repeated_by_the_second(
    started: Any, task: Task
) -> None:
    code = "raise SystemExit('error: no such model')"
    first = started(code)
    assert ended(first) is JobState.FAILED
    with pytest.raises(JobFailed, match="no such model"):
        retry(task, code)
    assert task.xcoms["job_name"] == first
    with pytest.raises(JobFailed, match="no such model"):
        retry(task, code)
    assert task.xcoms["job_name"] == first.replace("-g1", "-g2")


def test_a_throttled_report_is_made_after_the_pause(
    started: Any, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = started()
    jobs_of(JobKind.PROCESSING).stop(first)
    assert ended(first) is JobState.STOPPED
    describe, refusals = ProcessingJobs.describe, ["ThrottlingException"]

    def throttled(self: ProcessingJobs, name: str) -> Any:
        if refusals:
            raise ClientError({"Error": {"Code": refusals.pop(), "Message": "Rate exceeded"}}, "Describe")
        return describe(self, name)

    monkeypatch.setattr(ProcessingJobs, "describe", throttled)
    one = operator()
    with pytest.raises(TaskDeferred) as pause:
        one.finish(task.context(one))
    with pytest.raises(JobCancelled):
        getattr(one, pause.value.method_name)(task.context(one))
    assert task.xcoms["job_name"] == first


def test_a_job_that_its_own_task_stopped_is_followed_by_the_next_after_a_lost_worker(
    started: Any, task: Task
) -> None:
    first = started()
    task.clear()
    one = operator()
    with pytest.raises(TaskDeferred) as stopping:
        one.execute(task.context(one))
    assert stopping.value.method_name == "advance"
    assert ended(first) is JobState.STOPPED  # the worker that would start the next generation is lost
    again = operator()
    with pytest.raises(TaskDeferred):
        again.execute(task.context(again))
    assert task.xcoms["job_name"] == first.replace("-g1", "-g2")


def test_the_end_is_reported_also_if_the_worker_was_lost_before_it_recorded_the_submission(
    started: Any, task: Task
) -> None:
    first = started()
    task.store["job"] = task.store["job"] | {"is_submitted": False, "phase": "worker"}
    jobs_of(JobKind.PROCESSING).stop(first)
    assert ended(first) is JobState.STOPPED
    with pytest.raises(JobCancelled):
        retry(task)


def test_the_end_of_a_job_is_reported_again_if_the_report_itself_failed(
    started: Any, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "raise SystemExit('error: no such model')"
    first = started(code)
    assert ended(first) is JobState.FAILED
    with monkeypatch.context() as patch:
        patch.setattr(SageMakerProcessingOperator, "failure", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            retry(task, code)
    with pytest.raises(JobFailed, match="no such model"):
        retry(task, code)
    assert task.xcoms["job_name"] == first
