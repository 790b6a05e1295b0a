"""A job goes on while AWS cannot be reached or the credentials have expired, and its task waits."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from include.aws.job_states import JobState, JobView
from include.aws.refusals import AwsUnavailable
from nexus_airflow.triggers import job as job_trigger
from nexus_airflow.triggers.job import MAX_FAILED_LOOKS, JobTrigger
from tests.dags.conftest import Task, first_event
from tests.dags.test_job_identity import deferral, fake, operator, s3

__all__ = ["fake", "s3"]

EXPIRED = ClientError({"Error": {"Code": "ExpiredTokenException", "Message": "expired"}}, "Describe")
DENIED = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "Describe")
UNREACHABLE = EndpointConnectionError(endpoint_url="https://sagemaker")


class Looks:
    """A service that fails for a number of looks before it describes the completed job."""

    def __init__(self, error: Exception, failures: int) -> None:
        self.error = error
        self.failures = failures

    def describe(self, name: str) -> JobView:
        self.failures -= 1
        if self.failures >= 0:
            raise self.error
        return JobView(JobState.COMPLETED)


def event_after(
    error: Exception, failures: int, monkeypatch: pytest.MonkeyPatch, seconds: float = 60
) -> dict[str, Any]:
    looks = Looks(error, failures)
    monkeypatch.setattr(job_trigger, "jobs_of", lambda *_: looks)
    trigger = JobTrigger("training", "name-g1", "", 0.001, time.time() + seconds)
    return dict(asyncio.run(first_event(trigger)))


@pytest.mark.parametrize("error", [EXPIRED, UNREACHABLE])
def test_a_trigger_outlasts_an_outage(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    event = event_after(error, 3 * MAX_FAILED_LOOKS, monkeypatch)
    assert event["state"] == "completed"


def test_a_trigger_ends_at_its_deadline_during_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    assert event_after(UNREACHABLE, 10**9, monkeypatch, seconds=0.1)["state"] == "timeout"


def test_an_error_that_time_does_not_cure_is_passed_to_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    event = event_after(DENIED, 10**9, monkeypatch)
    assert event["state"] == "unknown"
    assert "AccessDeniedException" in event["reason"]


@pytest.mark.parametrize("error", [EXPIRED, UNREACHABLE])
def test_a_worker_that_cannot_look_at_its_job_waits_and_leaves_the_job_alone(
    fake: Any, s3: Any, task: Task, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    jobs, one = fake(), operator(task, "x")
    deferral(task, one)
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "describe", Looks(error, 10**9).describe)
        pause = deferral(task, one, "finish")
    assert (pause.method_name, jobs.submitted) == ("resume", [task.xcoms["job_name"]])
    deferral(task, one, "resume")
    assert jobs.submitted == [task.xcoms["job_name"]]
    assert jobs.describe(task.xcoms["job_name"]).state is JobState.ACTIVE


def test_an_outage_that_lasts_too_long_is_named(
    fake: Any, s3: Any, task: Task, settings_file: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, one = fake(), operator(task, "x")
    deferral(task, one)
    monkeypatch.setattr(jobs, "describe", Looks(EXPIRED, 10**9).describe)
    deferral(task, one, "finish")
    task.store["waiting"]["since"] -= settings_file.airflow.capacity_wait_seconds
    with pytest.raises(AwsUnavailable, match=r"credentials have expired \(after 15 minutes.*may still run"):
        one.resume(task.context(one))
