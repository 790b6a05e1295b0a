"""Applications start for their jobs, stop when idle, and allow in each state what the service allows."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.waiting import wait_until


def test_an_application_is_created_started_stopped_and_deleted(jobs: Any) -> None:
    name = jobs.application(tags={"project": "nexus-llm"})
    wait_until(lambda: jobs.state(name), lambda state: state == "CREATED")
    jobs.client.start_application(applicationId=name)
    wait_until(lambda: jobs.state(name), lambda state: state == "STARTED")
    with pytest.raises(ClientError, match="CREATED or STOPPED"):
        jobs.client.delete_application(applicationId=name)
    jobs.client.stop_application(applicationId=name)
    wait_until(lambda: jobs.state(name), lambda state: state == "STOPPED")
    jobs.client.delete_application(applicationId=name)
    assert jobs.state(name) == "TERMINATED"
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        jobs.submit(name, "true")


def test_the_same_client_token_makes_one_application(jobs: Any) -> None:
    first = jobs.application(clientToken="token-1")
    assert jobs.application(clientToken="token-1") == first
    with pytest.raises(ClientError, match="ConflictException"):
        jobs.application(clientToken="token-1", architecture="ARM64")


def test_without_a_choice_an_application_has_the_settings_that_aws_documents(jobs: Any) -> None:
    made = jobs.client.get_application(applicationId=jobs.application())["application"]
    assert made["architecture"] == "X86_64"
    assert made["autoStartConfiguration"] == {"enabled": True}
    assert made["autoStopConfiguration"] == {"enabled": True, "idleTimeoutMinutes": 15}


def test_settings_change_only_while_it_rests(jobs: Any) -> None:
    name = jobs.application()
    wait_until(lambda: jobs.state(name), lambda state: state == "CREATED")
    capacity = {"cpu": "16 vCPU", "memory": "64 GB"}
    jobs.client.update_application(applicationId=name, maximumCapacity=capacity)
    assert jobs.client.get_application(applicationId=name)["application"]["maximumCapacity"] == capacity
    jobs.client.start_application(applicationId=name)
    with pytest.raises(ClientError, match="CREATED or STOPPED"):
        jobs.client.update_application(applicationId=name, maximumCapacity=capacity)


def test_applications_are_listed_by_state_page_by_page(jobs: Any) -> None:
    names = {jobs.application() for _ in range(3)}
    pages = jobs.client.get_paginator("list_applications").paginate(
        states=["CREATING", "CREATED"], PaginationConfig={"PageSize": 2}
    )
    assert names <= {found["id"] for page in pages for found in page["applications"]}
    stopped = jobs.client.list_applications(states=["STOPPING"])["applications"]
    assert not names & {found["id"] for found in stopped}


def test_a_job_starts_its_application_and_idleness_stops_it(
    local_aws_server: Any, jobs_on: Any, quick_spark: Any
) -> None:
    local_aws_server.options = ("--images", str(quick_spark))
    local_aws_server.restart()
    jobs = jobs_on(local_aws_server)
    name = jobs.application(autoStopConfiguration={"enabled": True, "idleTimeoutMinutes": 5})
    run = jobs.submit(name, "sleep 60")
    jobs.until(name, run, "RUNNING")
    assert jobs.state(name) == "STARTED"
    local_aws_server.control("clock", {"advance_seconds": 400})
    with pytest.raises(ClientError, match="unfinished job runs"):
        jobs.client.stop_application(applicationId=name)
    jobs.client.cancel_job_run(applicationId=name, jobRunId=run)
    jobs.until(name, run, "CANCELLED")
    assert jobs.state(name) == "STARTED", "idle since the job ended, not since it began"
    local_aws_server.control("clock", {"advance_seconds": 400})
    wait_until(lambda: jobs.state(name), lambda state: state == "STOPPED")


def test_an_application_that_does_not_start_by_itself_refuses_jobs(jobs: Any) -> None:
    name = jobs.application(autoStartConfiguration={"enabled": False})
    with pytest.raises(ClientError, match="autoStartConfiguration is disabled"):
        jobs.submit(name, "true")


@pytest.mark.parametrize(
    ("change", "said"),
    [({"type": "HIVE"}, "NotImplemented"), ({"releaseLabel": "newest"}, "ValidationException")],
)
def test_an_application_that_could_run_nothing_is_refused(
    jobs: Any, change: dict[str, str], said: str
) -> None:
    request = {"name": f"refused-{said}", "releaseLabel": "emr-7.10.0", "type": "SPARK", **change}
    with pytest.raises(ClientError, match=said):
        jobs.client.create_application(**request)
    assert request["name"] not in {a.get("name") for a in jobs.client.list_applications()["applications"]}
