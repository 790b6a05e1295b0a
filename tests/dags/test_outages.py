"""A job goes on while AWS cannot be reached or the credentials have expired, and its task waits."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from include.aws.job_states import JobState, JobView
from include.aws.refusals import AwsUnavailable
from include.aws.rollouts import RolloutState, RolloutView
from include.contracts.errors import InputError
from nexus_airflow.polling import MAX_FAILED_POLLS, FailedPolls
from nexus_airflow.triggers import job as job_trigger
from nexus_airflow.triggers import rollout as rollout_trigger
from nexus_airflow.triggers.job import JobTrigger
from nexus_airflow.triggers.rollout import RolloutTrigger
from tests.dags.conftest import Task, first_event
from tests.dags.test_job_identity import deferral, fake, operator, s3

__all__ = ["fake", "s3"]

EXPIRED = ClientError({"Error": {"Code": "ExpiredTokenException", "Message": "expired"}}, "Describe")
DENIED = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "Describe")
UNREACHABLE = EndpointConnectionError(endpoint_url="https://sagemaker")


class Failing:
    """A service that fails for a number of calls before it answers that the work is done."""

    def __init__(self, error: Exception, failures: int) -> None:
        self.error = error
        self.failures = failures

    def describe(self, name: str) -> JobView:
        """Answer as the jobs of a service do."""
        self._fail()
        return JobView(JobState.COMPLETED)

    def look(self, deployment: str) -> RolloutView:
        """Answer as the deployments of a service do."""
        self._fail()
        return RolloutView(RolloutState.SUCCESSFUL, "SUCCESSFUL", "")

    def _fail(self) -> None:
        self.failures -= 1
        if self.failures >= 0:
            raise self.error


def event_after(
    kind: str, failing: Failing, monkeypatch: pytest.MonkeyPatch, seconds: float = 60
) -> dict[str, Any]:
    """Return the event of a trigger that polls ``failing``."""
    monkeypatch.setattr(job_trigger, "jobs_of", lambda *_: failing)
    monkeypatch.setattr(rollout_trigger, "Rollouts", lambda *_: failing)
    deadline = time.time() + seconds
    if kind == "job":
        return dict(asyncio.run(first_event(JobTrigger("training", "name-g1", "", 0.001, deadline))))
    return dict(asyncio.run(first_event(RolloutTrigger("cluster", "service", "arn", 0.001, deadline))))


@pytest.mark.parametrize("kind", ["job", "rollout"])
@pytest.mark.parametrize("error", [EXPIRED, UNREACHABLE])
def test_a_trigger_outlasts_an_outage(kind: str, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    event = event_after(kind, Failing(error, 3 * MAX_FAILED_POLLS), monkeypatch)
    assert event["state"] in ("completed", "successful")


@pytest.mark.parametrize("kind", ["job", "rollout"])
def test_a_trigger_ends_at_its_deadline_during_an_outage(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    event = event_after(kind, Failing(UNREACHABLE, 10**9), monkeypatch, seconds=0.1)
    assert event["state"] == "timeout"


@pytest.mark.parametrize("kind", ["job", "rollout"])
@pytest.mark.parametrize("error", [DENIED, InputError("no such deployment", where="arn")])
def test_an_error_that_time_does_not_cure_is_passed_to_the_worker(
    kind: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = event_after(kind, Failing(error, 10**9), monkeypatch)
    assert event["state"] == "unknown"
    assert event["reason"].startswith(f"{MAX_FAILED_POLLS} polls failed")
    assert str(error) in event["reason"]


def test_only_failures_in_a_row_count() -> None:
    failed = FailedPolls("job x", logging.getLogger(__name__))
    for _ in range(2):
        assert not any(failed.reason_to_stop(DENIED) for _ in range(MAX_FAILED_POLLS - 1))
        failed.reset()
    assert [bool(failed.reason_to_stop(DENIED)) for _ in range(MAX_FAILED_POLLS)][-1]


@pytest.mark.parametrize("error", [EXPIRED, UNREACHABLE])
def test_a_worker_that_cannot_look_at_its_job_waits_and_leaves_the_job_alone(
    fake: Any, s3: Any, task: Task, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    jobs, one = fake(), operator(task, "x")
    deferral(task, one)
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "describe", Failing(error, 10**9).describe)
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
    monkeypatch.setattr(jobs, "describe", Failing(EXPIRED, 10**9).describe)
    deferral(task, one, "finish")
    task.store["waiting"]["since"] -= settings_file.airflow.capacity_wait_seconds
    with pytest.raises(AwsUnavailable, match=r"credentials have expired \(after 15 minutes.*may still run"):
        one.resume(task.context(one))
