"""A job is reused or re-attached to only for the same request of the same run in the same environment."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.definitions.retry_policy import RetryAction
from airflow.sdk.exceptions import TaskDeferred
from botocore.exceptions import ClientError

from include.aws.job_specs import ProcessingJobSpec
from include.aws.job_states import JobKind, JobState, JobView
from include.aws.jobs import jobs_of
from include.aws.processing import processing_job
from include.aws.refusals import AwsUnavailable, QuotaExceeded
from include.settings import load_settings
from nexus_airflow.defaults import default_args
from nexus_airflow.errors import JobCancelled, JobTimedOut
from nexus_airflow.operators import job as job_operator
from nexus_airflow.operators.processing import SageMakerProcessingOperator
from tests.dags.conftest import Task
from tests.support.waiting import wait_until

BUCKET = "nexus-llm-models"
#: Writes its third argument to a key, after a pause.
_WRITE = (
    "import boto3, sys, time; bucket, key, text, pause = sys.argv[1:]; time.sleep(float(pause));"
    "print('progress: done', text);"
    "boto3.client('s3').put_object(Bucket=bucket, Key=key, Body=text.encode())"
)


@pytest.fixture
def s3(aws: Any) -> Iterator[Any]:
    client = aws.client("s3")
    client.create_bucket(Bucket=BUCKET)
    yield client


def operator(task: Task, text: str, pause: float = 0, **options: Any) -> SageMakerProcessingOperator:
    """Build a task whose job writes ``text`` to the marker of this test."""
    settings = load_settings()
    request = processing_job(settings, settings.images.training, "x", [])
    key = f"identity/{task.name}.json"
    request["AppSpecification"]["ContainerEntrypoint"] = ["python", "-c", _WRITE]
    request["AppSpecification"]["ContainerArguments"] = [BUCKET, key, text, str(pause)]
    spec = ProcessingJobSpec(
        kind=JobKind.PROCESSING, request=request, limit_seconds=600, marker_uri=f"s3://{BUCKET}/{key}"
    )
    return SageMakerProcessingOperator(
        task_id="process", job=replace(spec, **options), poll_interval_seconds=0.2
    )


def written(s3: Any, task: Task) -> str:
    body = s3.get_object(Bucket=BUCKET, Key=f"identity/{task.name}.json")["Body"].read()
    return str(body.decode())


def name_of(task: Task) -> str:
    return str(task.xcoms["job_name"])


def start(task: Task, text: str, pause: float = 60, **options: Any) -> str:
    """Submit the job and leave it to its trigger; return the job's name."""
    one = operator(task, text, pause, **options)
    with pytest.raises(TaskDeferred):
        one.execute(task.context(one))
    return name_of(task)


def state_of(name: str) -> JobState:
    return jobs_of(JobKind.PROCESSING).describe(name).state


def test_a_task_that_is_cleared_after_its_request_changed_does_its_work_again(s3: Any, task: Task) -> None:
    task.run(operator(task, "old"))
    task.clear()
    task.run(operator(task, "new"))
    assert (written(s3, task), name_of(task)[-3:]) == ("new", "-g2")
    task.clear()
    task.run(operator(task, "new"))
    assert name_of(task)[-3:] == "-g2", "the same request is not done again"


def test_a_retry_whose_request_changed_stops_the_job_of_the_old_one(s3: Any, task: Task) -> None:
    first = start(task, "old")
    task.run(operator(task, "new"))
    assert state_of(first) is JobState.STOPPED
    assert written(s3, task) == "new"


def test_a_run_that_was_deleted_and_triggered_again_gets_its_own_result(s3: Any, task: Task) -> None:
    task.run(operator(task, "old"))
    task.store.clear()  # Airflow deletes what a task remembers together with its run
    task.run(operator(task, "new"))
    assert (written(s3, task), name_of(task)[-3:]) == ("new", "-g2")
    task.store.clear()
    task.run(operator(task, "other"))
    assert (written(s3, task), name_of(task)[-3:]) == ("other", "-g3")
    task.store.clear()
    task.run(operator(task, "other"))
    assert name_of(task)[-3:] == "-g3", "the same run again takes what is there"


def test_the_job_of_a_deleted_run_is_stopped_before_the_next_one_starts(s3: Any, task: Task) -> None:
    first = start(task, "old")
    task.store.clear()
    task.run(operator(task, "new"))
    assert state_of(first) is JobState.STOPPED
    assert written(s3, task) == "new"


def test_the_same_run_of_another_environment_has_jobs_of_its_own(
    s3: Any, task: Task, settings_file: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (tmp_path / "settings.toml").read_text()
    names = []
    for environment in ("blue", "green"):
        path = tmp_path / f"{environment}.toml"
        path.write_text(text.replace('name = "dev"', f'name = "{environment}"', 1))
        monkeypatch.setenv("NEXUS_SETTINGS", str(path))
        task.store.clear()
        task.run(operator(task, environment))
        names.append(name_of(task))
        assert written(s3, task) == environment
    assert names[0] != names[1] and all(name.endswith("-g1") for name in names)


def action(error: Exception) -> RetryAction:
    return default_args()["retry_policy"].evaluate(error, 1, 3).action  # type: ignore[no-any-return]


def test_a_job_that_a_person_stops_ends_its_task_and_only_a_clear_starts_it_again(
    s3: Any, task: Task
) -> None:
    one = operator(task, "x", pause=60)
    first = start(task, "x")
    jobs_of(JobKind.PROCESSING).stop(first)
    wait_until(lambda: state_of(first), lambda state: state is JobState.STOPPED)
    with pytest.raises(JobCancelled, match=r"cancelled outside of Airflow.*clear this task") as error:
        one.finish(task.context(one))
    assert action(error.value) is RetryAction.FAIL
    task.clear()
    assert start(task, "x").endswith("-g2")
    jobs_of(JobKind.PROCESSING).stop(name_of(task))


def test_a_job_that_is_not_done_at_its_deadline_is_stopped(s3: Any, task: Task) -> None:
    with pytest.raises(JobTimedOut, match="was stopped") as error:
        task.run(operator(task, "x", pause=60, limit_seconds=1))
    assert action(error.value) is RetryAction.FAIL
    wait_until(lambda: state_of(name_of(task)), lambda state: state is JobState.STOPPED)


def test_the_log_of_the_task_ends_with_the_last_lines_of_the_jobs_log(
    s3: Any, task: Task, capsys: pytest.CaptureFixture[str]
) -> None:
    task.run(operator(task, "so far"))
    assert "progress: done so far" in capsys.readouterr().out.rpartition("the last lines of the job's log")[2]


class Fake:
    """The jobs of a service, as a table of states; ``refusals`` answer the next submissions."""

    def __init__(self, *refusals: tuple[str, str]) -> None:
        self.states: dict[str, JobView] = {}
        self.refusals = list(refusals)
        self.submitted: list[str] = []

    def describe(self, name: str) -> JobView:
        return self.states.get(name, JobView(JobState.ABSENT))

    def submit(self, name: str, request: dict[str, Any], request_sha256: str) -> None:
        if self.refusals:
            code, message = self.refusals.pop(0)
            raise ClientError({"Error": {"Code": code, "Message": message}}, "CreateProcessingJob")
        self.submitted.append(name)
        self.states[name] = JobView(JobState.ACTIVE, request_sha256=request_sha256)

    def stop(self, name: str) -> None:
        self.states[name] = replace(self.states[name], state=JobState.STOPPED)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, settings_file: Any) -> Any:
    def install(*refusals: tuple[str, str]) -> Fake:
        jobs = Fake(*refusals)
        monkeypatch.setattr(job_operator, "jobs_of", lambda *_: jobs)
        return jobs

    return install


def deferral(task: Task, one: SageMakerProcessingOperator, method: str = "execute") -> TaskDeferred:
    with pytest.raises(TaskDeferred) as deferred:
        getattr(one, method)(task.context(one))
    return deferred.value


@pytest.mark.parametrize("state", [JobState.DELETED, JobState.ABSENT])
def test_a_job_that_was_deleted_is_an_end_with_its_reason_and_its_name_is_not_used_again(
    fake: Any, s3: Any, task: Task, state: JobState
) -> None:
    jobs, one = fake(), operator(task, "x")
    deferral(task, one)
    first = name_of(task)
    jobs.states[first] = JobView(state)
    with pytest.raises(JobCancelled):
        one.finish(task.context(one))
    task.clear()
    deferral(task, one)
    assert jobs.submitted == [first, first.replace("-g1", "-g2")]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("ThrottlingException", "Rate exceeded"),
        ("ConcurrentRunsExceededException", "Concurrent runs exceeded for nexus-llm-dev-clean"),
        (
            "ResourceLimitExceeded",
            "The account-level service limit 'ml.m5.xlarge for processing job usage' is 4 Instances, with "
            "current utilization of 4 Instances and a request delta of 1 Instances.",
        ),
    ],
)
def test_what_passes_is_waited_for_with_growing_pauses(
    fake: Any, s3: Any, task: Task, code: str, message: str
) -> None:
    jobs, one = fake(*[(code, message)] * 3), operator(task, "x")
    pauses, method = [], "execute"
    for _ in range(3):
        deferred = deferral(task, one, method)
        method = deferred.method_name
        pauses.append(deferred.trigger.moment.timestamp() - time.time())
    assert pauses == pytest.approx([0.2, 0.4, 0.8], abs=0.15)
    assert jobs.submitted == []
    deferral(task, one, method)
    assert jobs.submitted == [name_of(task)]
    assert task.store["waiting"] is None, "the next refusal begins a new wait"


def test_a_quota_that_is_too_small_is_named_with_its_remedy_at_once(fake: Any, s3: Any, task: Task) -> None:
    message = (
        "The account-level service limit 'ml.g5.2xlarge for processing job usage' is 0 Instances, with "
        "current utilization of 0 Instances and a request delta of 1 Instances."
    )
    fake(("ResourceLimitExceeded", message))
    one = operator(task, "x")
    with pytest.raises(
        QuotaExceeded, match=r"ml\.g5\.2xlarge for processing job usage = 0.*raise the"
    ) as error:
        one.execute(task.context(one))
    assert action(error.value) is RetryAction.FAIL


def test_waiting_ends_after_the_time_of_the_settings(
    fake: Any, s3: Any, task: Task, settings_file: Any
) -> None:
    fake(*[("ThrottlingException", "Rate exceeded")] * 9)
    one = operator(task, "x")
    deferral(task, one)
    task.store["waiting"]["since"] -= settings_file.airflow.capacity_wait_seconds
    with pytest.raises(AwsUnavailable, match=r"after 15 minutes of waiting.*Rate exceeded"):
        one.resume(task.context(one))


def test_an_error_of_the_request_is_not_waited_for(fake: Any, s3: Any, task: Task) -> None:
    fake(("ValidationException", "no such role"))
    one = operator(task, "x")
    with pytest.raises(ClientError, match="no such role"):
        one.execute(task.context(one))
