"""A Spark job on EMR Serverless and Glue by the project's operator, and the provider's own, on local_aws."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.amazon.aws.operators.emr import (
    EmrServerlessCreateApplicationOperator,
    EmrServerlessStartJobOperator,
)
from airflow.providers.amazon.aws.operators.glue import GlueJobOperator
from airflow.sdk.exceptions import TaskDeferred

from include.aws.emr_serverless import ApplicationNotReady, application_name, application_request
from include.aws.emr_steps import StepNotCancelled
from include.aws.engines import Engine
from include.aws.job_specs import SparkJobSpec
from include.aws.jobs import jobs_of
from include.contracts.errors import IntegrityError
from include.contracts.job_errors import JobError
from include.contracts.storage import S3Uri
from include.object_store import ObjectStore
from include.settings import load_settings
from include.settings.spark import ENGINES as ENGINE_NAMES
from nexus_airflow.defaults import NON_RETRYABLE
from nexus_airflow.errors import JobFailed
from nexus_airflow.listeners.jobs import stop_jobs
from nexus_airflow.operators.end_engine import EndEngineOperator
from nexus_airflow.operators.spark_job import SparkJobOperator
from nexus_airflow.operators.start_engine import StartEngineOperator
from nexus_airflow.triggers.job import JobTrigger
from tests.dags.conftest import Task, first_event
from tests.support.waiting import wait_until

BUCKET = "nexus-llm-processed"
CODE, REQUEST = S3Uri(BUCKET, "artifacts/0a1b/"), S3Uri(BUCKET, "corpus/v/request.json")
MARKER = S3Uri(BUCKET, "engines/manifest.json")
ERROR = S3Uri(BUCKET, "engines/work/clean.error.json")
SHA256 = "a" * 64
ENGINES = [Engine.EMR_SERVERLESS, Engine.GLUE]


@pytest.fixture
def s3(aws: Any) -> Any:
    client = aws.client("s3")
    client.create_bucket(Bucket=BUCKET)
    client.put_object(Bucket=BUCKET, Key=MARKER.key, Body=b"{}")
    return client


@pytest.fixture
def script(s3: Any) -> Any:
    """Put the script of the job `clean`: shell, as spark-submit is a quick one here."""
    return lambda text: s3.put_object(Bucket=BUCKET, Key=f"{CODE.key}jobs/clean.py", Body=text.encode())


def operator(engine: Engine, **options: Any) -> SparkJobOperator:
    settings = load_settings("dev")
    spec = SparkJobSpec(
        kind=engine.kind,
        request=engine.request(settings, "clean", CODE, REQUEST),
        limit_seconds=600,
        scope=engine.scope(settings, "clean"),
        marker_uri=str(MARKER),
        error_uri=str(ERROR),
    )
    return SparkJobOperator(task_id="clean", job=replace(spec, **options), poll_interval_seconds=0.2)


def names(aws: Any, engine: Engine) -> list[str]:
    """List the names of all runs of `clean` on an engine, by the service's own listing."""
    settings = load_settings("dev")
    if engine is Engine.GLUE:
        found = aws.client("glue").get_job_runs(JobName=engine.scope(settings, "clean"))["JobRuns"]
        return [run["Arguments"]["--run_name"] for run in found]
    client = aws.client("emr-serverless")
    (application,) = (
        entry["id"]
        for entry in client.list_applications()["applications"]
        if entry["name"] == application_name(settings)
    )
    return [run["name"] for run in client.list_job_runs(applicationId=application)["jobRuns"]]


@pytest.mark.parametrize("engine", ENGINES)
class TestSparkJob:
    def test_it_runs_once_however_often_the_task_is_tried(
        self, aws: Any, script: Any, task: Task, engine: Engine
    ) -> None:
        script('for word in "$@"; do echo "$word"; done')
        output = task.run(operator(engine))
        assert output["uri"] == str(MARKER)
        assert task.run(operator(engine)) == output
        assert names(aws, engine).count(task.xcoms["job_name"]) == 1

    def test_a_start_whose_answer_was_lost_is_taken_for_the_same_run(
        self, aws: Any, script: Any, task: Task, engine: Engine
    ) -> None:
        script("sleep 60")
        one = operator(engine)
        jobs = jobs_of(engine.kind, one.spec.scope)
        name = f"{task.name}-{engine.value}"[-60:].strip("-[]").replace("[", "-")
        jobs.submit(name, one.spec.request, SHA256)
        jobs.submit(name, one.spec.request, SHA256)
        assert names(aws, engine).count(name) == 1
        jobs.stop(name)
        event = asyncio.run(
            first_event(JobTrigger(engine.kind.value, name, one.spec.scope, 0.1, time.time() + 60))
        )
        assert event["state"] == "stopped"
        jobs.stop(name)  # over already: no error

    def test_a_failure_is_told_with_the_drivers_last_words_and_a_retry_is_the_next_generation(
        self, script: Any, task: Task, engine: Engine
    ) -> None:
        script("echo KeyError: text >&2; exit 3")
        with pytest.raises(JobFailed, match=r"(?s)the job failed.*KeyError: text"):
            task.run(operator(engine))
        script("true")
        task.run(operator(engine))
        assert task.xcoms["job_name"].endswith("-g2")

    @pytest.mark.parametrize(
        ("kind", "raised"), [("IntegrityError", IntegrityError), ("OSError", JobFailed), ("Odd", JobFailed)]
    )
    def test_the_error_that_a_job_left_is_its_tasks_and_of_its_kind(
        self,
        script: Any,
        task: Task,
        engine: Engine,
        kind: str,
        raised: type[Exception],
        tmp_path: Path,
    ) -> None:
        store, left = ObjectStore(), ERROR
        store.write_record(left, JobError(kind, "of an earlier run, which the next one takes away"))
        began = tmp_path / "began"
        script(f"touch {began}; sleep 1; exit 2")
        one = operator(engine)
        with pytest.raises(TaskDeferred):
            one.execute(task.context(one))
        assert not store.exists(left)
        wait_until(began.exists, bool, seconds=30)
        store.write_record(left, JobError(kind, "s3://raw/a.jsonl: changed since the plan"))
        wait_until(
            lambda: jobs_of(engine.kind, one.spec.scope).describe(task.xcoms["job_name"]).state.may_change,
            lambda may_change: not may_change,
        )
        with pytest.raises(raised, match="changed since the plan") as error:
            one.finish(task.context(one))
        assert type(error.value) is raised
        store.write(left, b"{")  # of another release, or no permission: the failure is reported all the same
        with pytest.raises(JobFailed, match="the job failed"):
            one.finish(task.context(one))
        store.delete(left)
        with pytest.raises(JobFailed, match="the job failed"):
            one.finish(task.context(one))

    def test_a_clear_stops_what_runs_and_starts_the_next_generation(
        self, script: Any, task: Task, engine: Engine, tmp_path: Path
    ) -> None:
        began = tmp_path / "began"
        script(f"[ -e {began} ] || {{ touch {began}; sleep 60; }}")
        first = operator(engine)
        with pytest.raises(TaskDeferred):
            first.execute(task.context(first))
        name = task.xcoms["job_name"]
        wait_until(began.exists, bool, seconds=30)
        task.clear()
        task.run(operator(engine))
        assert jobs_of(engine.kind, first.spec.scope).describe(name).state.value == "stopped"
        assert task.xcoms["job_name"].endswith("-g2")

    def test_marked_failed_between_trigger_and_worker_the_listener_stops_it(
        self, script: Any, task: Task, engine: Engine
    ) -> None:
        script("sleep 60")
        one = operator(engine)
        with pytest.raises(TaskDeferred):
            one.execute(task.context(one))
        ended = {"dag_id": "tests", "run_id": task.name, "task_id": "clean", "map_index": -1}
        stop_jobs(SimpleNamespace(operator="SparkJobOperator", **ended))
        name = task.xcoms["job_name"]
        event = asyncio.run(
            first_event(JobTrigger(engine.kind.value, name, one.spec.scope, 0.1, time.time() + 60))
        )
        assert event["state"] == "stopped"


def test_the_settings_know_every_engine() -> None:
    assert set(ENGINE_NAMES) == {engine.value for engine in Engine}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_job_is_absent_where_its_engine_was_never_used(aws: Any, engine: Engine) -> None:
    jobs = jobs_of(engine.kind, "never-used")
    assert jobs.describe("x-g1").state.value == "absent"
    jobs.stop("x-g1")


@pytest.mark.parametrize("engine", ENGINES)
def test_without_a_cluster_the_engine_is_started_and_ended_by_nobody(
    aws: Any, task: Task, engine: Engine
) -> None:
    before = aws.client("emr").list_clusters()["Clusters"]
    start = StartEngineOperator(task_id="start", engine=engine.value, code_uri=str(CODE))
    cluster = task.run(start)
    assert cluster is None
    task.run(EndEngineOperator(task_id="end", engine=engine.value))
    assert aws.client("emr").list_clusters()["Clusters"] == before


def test_an_application_follows_the_settings_while_it_rests(aws: Any, script: Any, task: Task) -> None:
    client = aws.client("emr-serverless")
    one = operator(Engine.EMR_SERVERLESS)
    request = one.spec.request["application"] | {"name": "to-change"}
    jobs = jobs_of(Engine.EMR_SERVERLESS.kind, "to-change")
    jobs.submit("a-g1", one.spec.request | {"application": request}, SHA256)
    (found,) = (a for a in client.list_applications()["applications"] if a["name"] == "to-change")
    jobs.stop("a-g1")
    while client.get_application(applicationId=found["id"])["application"]["state"] != "STOPPED":
        try:
            client.stop_application(applicationId=found["id"])
        except client.exceptions.ValidationException:
            continue
    wider = request | {"maximumCapacity": {"cpu": "64 vCPU", "memory": "128 GB"}}
    jobs.submit("b-g1", one.spec.request | {"application": wider}, SHA256)
    changed = client.get_application(applicationId=found["id"])["application"]
    assert changed["maximumCapacity"] == wider["maximumCapacity"]


def test_what_an_application_that_runs_cannot_follow_yet_is_told(
    aws: Any, script: Any, caplog: pytest.LogCaptureFixture
) -> None:
    one = operator(Engine.EMR_SERVERLESS)
    request = one.spec.request["application"] | {"name": "busy"}
    jobs = jobs_of(Engine.EMR_SERVERLESS.kind, "busy")
    jobs.submit("a-g1", one.spec.request | {"application": request}, SHA256)
    assert "apply once it has stopped" not in caplog.text
    wider = request | {"maximumCapacity": {"cpu": "64 vCPU", "memory": "128 GB"}}
    jobs.submit("b-g1", one.spec.request | {"application": wider}, SHA256)
    assert "maximumCapacity of the settings apply once it has stopped" in caplog.text


def test_errors_that_pass_are_retried() -> None:
    assert not any(issubclass(error, NON_RETRYABLE) for error in (ApplicationNotReady, StepNotCancelled))


class TestProviderOperatorsUnmodified:
    def test_serverless_application_and_job(self, aws: Any, script: Any, task: Task) -> None:
        script("true")
        settings = load_settings("dev")
        config = {k: v for k, v in application_request(settings).items() if k not in ("releaseLabel", "type")}
        create = EmrServerlessCreateApplicationOperator(
            task_id="create",
            release_label="emr-7.10.0",
            job_type="SPARK",
            config=config | {"name": "provider"},
            waiter_delay=1,
            aws_conn_id=None,
        )
        application = task.run(create)
        run = Engine.EMR_SERVERLESS.request(settings, "clean", CODE, REQUEST)["run"]
        start = EmrServerlessStartJobOperator(
            task_id="start",
            application_id=application,
            execution_role_arn=run["executionRoleArn"],
            job_driver=run["jobDriver"],
            configuration_overrides=run["configurationOverrides"],
            name="provider",
            waiter_delay=1,
            aws_conn_id=None,
        )
        job = task.run(start)
        found = aws.client("emr-serverless").get_job_run(applicationId=application, jobRunId=job)["jobRun"]
        assert found["state"] == "SUCCESS"

    def test_glue_job_with_its_logs(self, aws: Any, script: Any, task: Task) -> None:
        script("echo from the job")
        definition = Engine.GLUE.request(load_settings("dev"), "clean", CODE, REQUEST)["definition"]
        kept = ("Command", "GlueVersion", "WorkerType", "NumberOfWorkers", "DefaultArguments")
        operator = GlueJobOperator(
            task_id="glue",
            job_name="provider",
            iam_role_arn=definition["Role"],
            concurrent_run_limit=1,
            create_job_kwargs={name: definition[name] for name in kept},
            script_args={"--request": str(REQUEST)},
            update_config=True,
            verbose=True,
            job_poll_interval=1,
            aws_conn_id=None,
        )
        run = task.run(operator)
        found = aws.client("glue").get_job_run(JobName="provider", RunId=run)["JobRun"]
        assert found["JobRunState"] == "SUCCEEDED"
