"""Glue jobs: definitions, runs with the arguments that Glue adds, logs, limits, restarts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.waiting import wait_until


class Glue:
    """Definitions and runs on one server; each test has a definition of its own."""

    def __init__(self, server: Any, folder: Path) -> None:
        self.client = server.client("glue")
        self.logs = server.client("logs")
        self.folder = folder
        self.name = f"job-{folder.name}"

    def define(self, script: str, **more: Any) -> str:
        path = self.folder / "main.sh"
        path.write_text(script)
        command = {"Name": "glueetl", "ScriptLocation": str(path), "PythonVersion": "3"}
        self.client.create_job(Name=self.name, Role="glue", Command=command, **more)
        return self.name

    def start(self, **more: Any) -> str:
        return str(self.client.start_job_run(JobName=self.name, **more)["JobRunId"])

    def run(self, run: str) -> dict[str, Any]:
        found: dict[str, Any] = self.client.get_job_run(JobName=self.name, RunId=run)["JobRun"]
        return found

    def until(self, run: str, *states: str) -> dict[str, Any]:
        return wait_until(lambda: self.run(run), lambda found: found["JobRunState"] in states)

    def messages(self, group: str, run: str) -> list[str]:
        request = {"logGroupName": f"/aws-glue/jobs/{group}", "logStreamName": run}
        return [event["message"] for event in self.logs.get_log_events(**request)["events"]]


@pytest.fixture
def glue(quick_local_aws: Any, tmp_path: Path) -> Glue:
    return Glue(quick_local_aws, tmp_path)


def test_a_run_gets_glues_arguments_and_the_definitions_below_its_own(glue: Glue) -> None:
    arguments = {"--extra-py-files": "s3://c/a.zip", "--level": "definition", "--conf": "x=1 --conf y=2"}
    name = glue.define('for word in "$@"; do echo "$word"; done', DefaultArguments=arguments)
    run = glue.start(Arguments={"--level": "run", "--request": "s3://x/y"})
    found = glue.until(run, "SUCCEEDED", "FAILED")
    assert found["JobRunState"] == "SUCCEEDED" and found["Arguments"]["--request"] == "s3://x/y"
    words = glue.messages("output", run)
    pairs = dict(zip(words[::2], words[1::2], strict=True))
    assert pairs["--JOB_NAME"] == name and pairs["--JOB_RUN_ID"] == run
    assert (pairs["--level"], pairs["--request"]) == ("run", "s3://x/y")
    command = glue.messages("error", run)[0]
    assert "--py-files s3://c/a.zip --conf x=1 --conf y=2" in command


def test_a_failure_carries_the_last_words_of_the_driver(glue: Glue) -> None:
    glue.define("echo KeyError: text >&2; exit 3")
    message = glue.until(glue.start(), "FAILED")["ErrorMessage"]
    assert "code 3" in message and message.endswith("KeyError: text")


def test_runs_beyond_the_limit_of_the_definition_are_refused(glue: Glue) -> None:
    glue.define("sleep 60", ExecutionProperty={"MaxConcurrentRuns": 1})
    first = glue.start()
    with pytest.raises(ClientError, match="ConcurrentRunsExceededException"):
        glue.start()
    glue.client.batch_stop_job_run(JobName=glue.name, JobRunIds=[first])
    glue.until(first, "STOPPED")
    second = glue.start()
    answer = glue.client.batch_stop_job_run(JobName=glue.name, JobRunIds=[first, second, "jr_0"])
    assert [done["JobRunId"] for done in answer["SuccessfulSubmissions"]] == [second]
    codes = {error["JobRunId"]: error["ErrorDetail"]["ErrorCode"] for error in answer["Errors"]}
    assert codes == {first: "InvalidInputException", "jr_0": "EntityNotFoundException"}
    listed = glue.client.get_job_runs(JobName=glue.name)["JobRuns"]
    assert [run["Id"] for run in listed] == [second, first]


def test_a_run_that_outlasts_its_limit_is_a_timeout(
    local_aws_server: Any, quick_spark: Any, tmp_path: Path
) -> None:
    local_aws_server.options = ("--images", str(quick_spark))
    local_aws_server.restart()
    glue = Glue(local_aws_server, tmp_path)
    glue.define("sleep 60", Timeout=600)
    run = glue.start(Timeout=10)
    glue.until(run, "RUNNING")
    local_aws_server.control("clock", {"advance_seconds": 700})
    found = glue.until(run, "TIMEOUT")
    assert found["Timeout"] == 10 and "600 s" in found["ErrorMessage"]


def test_definitions_are_made_once_replaced_and_deleted(glue: Glue) -> None:
    name = glue.define("true", Tags={"project": "nexus-llm"}, Timeout=5)
    with pytest.raises(ClientError, match="AlreadyExistsException"):
        glue.define("true")
    command = {"Name": "glueetl", "ScriptLocation": "s3://code/other.py"}
    update = {"Role": "glue", "Command": command, "NumberOfWorkers": 4, "WorkerType": "G.1X"}
    glue.client.update_job(JobName=name, JobUpdate=update)
    found = glue.client.get_job(JobName=name)["Job"]
    assert found["Command"] == command and found["NumberOfWorkers"] == 4
    assert found["Timeout"] == 480, "what an update leaves out goes back to its default"
    assert name in glue.client.list_jobs()["JobNames"]
    assert name in {job["Name"] for job in glue.client.get_jobs()["Jobs"]}
    glue.client.delete_job(JobName=name)
    for ask in (glue.client.get_job, glue.client.start_job_run, glue.client.get_job_runs):
        with pytest.raises(ClientError, match="EntityNotFoundException"):
            ask(JobName=name)


def test_other_kinds_of_jobs_are_refused(glue: Glue) -> None:
    command = {"Name": "pythonshell", "ScriptLocation": "s3://code/x.py"}
    with pytest.raises(ClientError, match="glueetl only"):
        glue.client.create_job(Name="shell", Role="glue", Command=command)


def test_runs_survive_kill_9_with_their_logs(local_aws_server: Any, quick_spark: Any, tmp_path: Path) -> None:
    local_aws_server.options = ("--images", str(quick_spark))
    local_aws_server.restart()
    glue = Glue(local_aws_server, tmp_path)
    go = tmp_path / "go"
    glue.define(f"echo before; while [ ! -e {go} ]; do sleep 0.1; done; echo after")
    run = glue.start()
    glue.until(run, "RUNNING")
    local_aws_server.kill()
    local_aws_server.start()
    go.touch()
    glue.until(run, "SUCCEEDED")
    assert glue.messages("output", run) == ["before", "after"]


def test_definitions_are_listed_in_pages_and_by_tag(glue: Glue) -> None:
    for number in range(3):
        glue.name = f"paged-{glue.folder.name}-{number}"
        glue.define("true", Tags={"folder": glue.folder.name, "number": str(number)})
    names = [f"paged-{glue.folder.name}-{number}" for number in range(3)]
    first = glue.client.list_jobs(Tags={"folder": glue.folder.name}, MaxResults=2)
    rest = glue.client.list_jobs(
        Tags={"folder": glue.folder.name}, MaxResults=2, NextToken=first["NextToken"]
    )
    assert (first["JobNames"], rest["JobNames"]) == (names[:2], names[2:])
    assert "NextToken" not in rest
    assert glue.client.list_jobs(Tags={"folder": glue.folder.name, "number": "1"})["JobNames"] == names[1:2]
    assert len(glue.client.get_jobs(MaxResults=1)["Jobs"]) == 1
    pages = glue.client.get_paginator("get_jobs").paginate(PaginationConfig={"PageSize": 1})
    assert set(names) <= {job["Name"] for page in pages for job in page["Jobs"]}


def test_a_capacity_and_workers_exclude_each_other(glue: Glue) -> None:
    with pytest.raises(ClientError, match=r"InvalidInputException.*MaxCapacity"):
        glue.define("true", MaxCapacity=2.0, WorkerType="G.1X", NumberOfWorkers=2)


def test_retries_that_would_not_happen_are_refused(glue: Glue) -> None:
    with pytest.raises(ClientError, match=r"NotImplemented.*MaxRetries"):
        glue.define("false", MaxRetries=1)
    name = glue.define("true")
    command = glue.client.get_job(JobName=name)["Job"]["Command"]
    with pytest.raises(ClientError, match=r"NotImplemented.*MaxRetries"):
        glue.client.update_job(JobName=name, JobUpdate={"Role": "r", "Command": command, "MaxRetries": 2})
    with pytest.raises(ClientError, match=r"NotImplemented.*JobRunId"):
        glue.start(JobRunId="jr_0")
    assert glue.client.get_job_runs(JobName=name)["JobRuns"] == []
