"""A run takes over a corpus version only after the jobs of its former owner have ended."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred
from botocore.exceptions import ClientError

from include.aws import orphans
from include.aws.emr_cluster import cluster_request
from include.aws.engines import Engine
from include.aws.job_specs import SparkJobSpec
from include.aws.jobs import jobs_of
from include.aws.orphans import stop_orphans
from include.contracts.job_names import RunIdentity
from include.contracts.storage import S3Uri
from include.object_store import ObjectStore
from include.planning.claims import BuildClaim, claim_version
from include.settings import load_settings
from nexus_airflow.errors import OrphanedJobs
from nexus_airflow.operators.spark_job import SparkJobOperator
from nexus_airflow.takeover import may_take_over
from tests.dags.conftest import Task
from tests.support.waiting import wait_until

BUCKET = "nexus-llm-processed"
CODE, REQUEST = S3Uri(BUCKET, "artifacts/0a1b/"), S3Uri(BUCKET, "corpus/v/request.json")


@pytest.fixture
def s3(aws: Any) -> Any:
    client = aws.client("s3")
    client.create_bucket(Bucket=BUCKET)
    client.put_object(Bucket=BUCKET, Key=f"{CODE.key}jobs/clean.py", Body=b"sleep 60")
    return client


def build(engine: Engine, claim: S3Uri, job: str = "clean") -> SparkJobOperator:
    """Build the task that runs a long job and claims the version."""
    settings = load_settings("dev")
    spec = SparkJobSpec(
        kind=engine.kind,
        request=engine.request(settings, job, CODE, REQUEST),
        limit_seconds=600,
        scope=engine.scope(settings, job),
        marker_uri=f"s3://{BUCKET}/takeover/never.json",
        error_uri=f"s3://{BUCKET}/takeover/error.json",
        claim_uri=str(claim),
    )
    return SparkJobOperator(task_id=job, job=spec, poll_interval_seconds=0.2)


def start(one: SparkJobOperator, task: Task) -> None:
    with pytest.raises(TaskDeferred):
        one.execute(task.context(one))


def over() -> Any:
    """Build a task instance of an Airflow that knows no living run."""
    return SimpleNamespace(get_dr_count=lambda **_: 0)


@pytest.mark.parametrize("engine", [Engine.EMR_SERVERLESS, Engine.GLUE])
def test_the_job_of_a_deleted_run_is_stopped_before_another_run_builds_its_version(
    s3: Any, task: Task, engine: Engine
) -> None:
    claim = S3Uri(BUCKET, f"takeover/{engine.value}.json")
    ObjectStore().delete(claim)
    start(build(engine, claim), task)
    orphan, owner = task.xcoms["job_name"], ObjectStore().read_record(BuildClaim, claim).owner
    second = Task(f"{task.name} again")
    second.living_runs = 0  # the first run was deleted
    with pytest.raises(OrphanedJobs, match=rf"are being stopped.*{orphan}"):
        build(engine, claim).execute(second.context(build(engine, claim)))
    assert ObjectStore().read_record(BuildClaim, claim).owner == owner
    jobs = jobs_of(engine.kind, engine.scope(load_settings("dev"), "clean"))
    wait_until(lambda: jobs.describe(orphan).state, lambda state: not state.may_change)
    start(build(engine, claim), second)
    assert ObjectStore().read_record(BuildClaim, claim).owner.run_id == second.name
    jobs.stop(second.xcoms["job_name"])


def test_the_cluster_of_a_deleted_run_is_terminated_before_another_run_builds_its_version(
    aws: Any, s3: Any, settings_file: Any
) -> None:
    run = RunIdentity("dev", "corpus_refresh", "deleted-with-its-cluster")
    emr = aws.client("emr")
    cluster = emr.run_job_flow(**cluster_request(settings_file, run.cluster, CODE))["JobFlowId"]
    claim = S3Uri(BUCKET, "takeover/emr.json")
    ObjectStore().delete(claim)
    claim_version(claim, run, lambda _: False, 60)
    second = RunIdentity("dev", "corpus_refresh", "next")
    with pytest.raises(OrphanedJobs, match=cluster):
        claim_version(claim, second, lambda other: may_take_over(over(), other), 60)
    state = lambda: emr.describe_cluster(ClusterId=cluster)["Cluster"]["Status"]["State"]  # noqa: E731
    wait_until(state, lambda now: now.startswith("TERMINATED"))
    claim_version(claim, second, lambda other: may_take_over(over(), other), 60)
    assert ObjectStore().read_record(BuildClaim, claim).owner == second


def test_a_run_that_goes_on_keeps_its_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nexus_airflow.takeover.stop_orphans", lambda *_: pytest.fail("stopped"))
    ti: Any = SimpleNamespace(get_dr_count=lambda **_: 1)
    assert not may_take_over(ti, RunIdentity("dev", "corpus_refresh", "living"))


@pytest.mark.parametrize(("code", "is_passed"), [("AccessDeniedException", True), ("Throttling", False)])
def test_an_engine_that_the_account_may_not_use_has_no_orphans(
    settings_file: Any, monkeypatch: pytest.MonkeyPatch, code: str, is_passed: bool
) -> None:
    def refuse(*_: Any) -> Any:
        raise ClientError({"Error": {"Code": code, "Message": "x"}}, "ListApplications")

    monkeypatch.setattr(orphans, "jobs_of", refuse)
    monkeypatch.setattr(orphans, "client", refuse)
    run = RunIdentity("dev", "corpus_refresh", "any")
    if is_passed:
        assert stop_orphans(settings_file, run) == []
    else:
        with pytest.raises(ClientError):
            stop_orphans(settings_file, run)
