"""A task that is ended while it submits its job: whoever ended it met no job to stop, so it looks again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from include.aws.job_specs import ProcessingJobSpec
from include.aws.job_states import JobKind, JobState
from include.aws.jobs import jobs_of
from include.aws.processing import processing_job
from include.settings import load_settings
from nexus_airflow.errors import TaskEnded, WorkerStopped
from nexus_airflow.operators.processing import SageMakerProcessingOperator
from tests.dags.conftest import Task
from tests.support.waiting import wait_until

BUCKET = "nexus-llm-models"


class Interrupted(SageMakerProcessingOperator):
    """Something happens between the last look at the job and its submission."""

    def __init__(self, *, happens: Any, **options: Any) -> None:
        super().__init__(**options)
        self.happens = happens

    def prepare(self, context: Any) -> None:
        assert self._jobs().describe(self._name).state is JobState.ABSENT
        self.happens(self)


def interrupted(happens: Any, **options: Any) -> Interrupted:
    settings = load_settings("dev")
    job = processing_job(settings, settings.images.training, "x", [])
    job["AppSpecification"]["ContainerEntrypoint"] = ["python", "-c", "import time; time.sleep(60)"]
    job["AppSpecification"]["ContainerArguments"] = ["x"]
    marker = f"s3://{BUCKET}/ended/report.json"
    spec = ProcessingJobSpec(kind=JobKind.PROCESSING, request=job, limit_seconds=600, marker_uri=marker)
    return Interrupted(happens=happens, task_id="process", job=spec, poll_interval_seconds=0.2, **options)


@pytest.fixture
def submitted(aws: Any, task: Task) -> Iterator[Any]:
    """The state of the job that the task submitted, when it is not on its way to another."""
    aws.client("s3").create_bucket(Bucket=BUCKET)
    jobs = jobs_of(JobKind.PROCESSING)

    def look() -> JobState:
        return jobs.describe(task.xcoms["job_name"]).state

    yield lambda: wait_until(look, lambda state: state is not JobState.STOPPING)
    jobs.stop(task.xcoms["job_name"])


@pytest.mark.parametrize("deferrable", [True, False])
@pytest.mark.parametrize("ended", ["failed", "success", "skipped", "restarting"])
def test_the_job_of_a_task_that_was_marked_or_cleared_meanwhile_is_stopped(
    submitted: Any, task: Task, ended: str, deferrable: bool
) -> None:
    one = interrupted(lambda _: setattr(task, "state", ended), deferrable=deferrable)
    with pytest.raises(TaskEnded, match=f"its job was stopped; got {ended}"):
        one.execute(task.context(one))
    assert submitted() is JobState.STOPPED


@pytest.mark.parametrize("deferrable", [True, False])
def test_the_job_of_a_run_that_was_deleted_meanwhile_is_stopped(
    submitted: Any, task: Task, deferrable: bool
) -> None:
    def delete(operator: Interrupted) -> None:
        task.state = None
        operator.on_kill()

    one = interrupted(delete, deferrable=deferrable)
    with pytest.raises(TaskEnded, match=r"its job was stopped; got no such task"):
        one.execute(task.context(one))
    assert submitted() is JobState.STOPPED


def test_the_job_goes_on_when_its_worker_is_shut_down_meanwhile(submitted: Any, task: Task) -> None:
    one = interrupted(lambda operator: operator.on_kill())
    with pytest.raises(TaskDeferred):
        one.execute(task.context(one))
    assert submitted() is JobState.ACTIVE


def test_a_task_that_waits_on_a_worker_leaves_its_job_to_the_retry_when_the_worker_is_shut_down(
    submitted: Any, task: Task
) -> None:
    one = interrupted(lambda operator: threading.Timer(0.5, operator.on_kill).start(), deferrable=False)
    with pytest.raises(WorkerStopped, match="the job goes on"):
        one.execute(task.context(one))
    first = task.xcoms["job_name"]
    assert submitted() is JobState.ACTIVE
    again = interrupted(lambda _: pytest.fail("a second job"))
    with pytest.raises(TaskDeferred):
        again.execute(task.context(again))
    assert task.xcoms["job_name"] == first


@pytest.mark.parametrize("wanted", ["running", "queued", "scheduled", None])
def test_a_task_that_is_still_wanted_waits_for_its_job(
    submitted: Any, task: Task, wanted: str | None
) -> None:
    one = interrupted(lambda _: setattr(task, "state", wanted))
    with pytest.raises(TaskDeferred):
        one.execute(task.context(one))
    assert submitted() is JobState.ACTIVE


def test_after_a_clear_the_next_try_leaves_the_stopped_job_for_the_next_generation(
    submitted: Any, task: Task
) -> None:
    one = interrupted(lambda _: setattr(task, "state", "restarting"))
    with pytest.raises(TaskEnded):
        one.execute(task.context(one))
    task.clear_number += 1
    task.state = "running"
    again = interrupted(lambda _: None)
    assert submitted() is JobState.STOPPED
    with pytest.raises(TaskDeferred):
        again.execute(task.context(again))
    assert task.xcoms["job_name"].endswith("-g2")
    assert submitted() is JobState.ACTIVE
