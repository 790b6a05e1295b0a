"""The listener stops the job of a task that was ended: the engines it looks at, and steps of the cluster.

The tests of the other operators cover jobs of SageMaker, EMR Serverless and Glue, and rollouts.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred
from botocore.exceptions import ClientError

from include.aws.emr_cluster import cluster_request
from include.aws.engines import Engine
from include.aws.job_specs import SparkJobSpec
from include.aws.job_states import JobKind, JobState
from include.aws.jobs import jobs_of
from include.contracts.job_names import RunIdentity
from include.contracts.storage import S3Uri
from include.settings import load_settings
from nexus_airflow.listeners import jobs as jobs_listener
from nexus_airflow.operators.spark_job import SparkJobOperator
from tests.dags.conftest import Task
from tests.support.waiting import wait_until

CODE = S3Uri("nexus-llm-processed", "artifacts/0a1b/")
_OVER = (JobState.STOPPED, JobState.FAILED)  # cancelled while it ran, EMR calls it either


@pytest.mark.parametrize(
    ("conf", "asked"),
    [
        ({"engine": "glue"}, {Engine.GLUE}),
        ({"engine": "emr"}, {Engine.EMR}),
        ({}, {Engine.EMR}),  # the settings' engine
        (None, set(Engine)),  # no run at hand, as on a worker
    ],
)
def test_the_listener_asks_the_engine_of_the_run_alone(
    conf: dict[str, str] | None, asked: set[Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = set()
    monkeypatch.setattr(jobs_listener, "_stop_active", lambda *_: None)
    monkeypatch.setattr(jobs_listener, "jobs_of", lambda kind, _: kinds.add(kind))
    monkeypatch.setattr(jobs_listener, "client", lambda _: None)
    monkeypatch.setattr(jobs_listener, "living_clusters", lambda _, name: [name])
    at_hand = {} if conf is None else {"dag_run": SimpleNamespace(conf=conf)}
    ended = {"operator": "SparkJobOperator", "dag_id": "corpus_refresh", "run_id": "r", "task_id": "clean"}
    jobs_listener.stop_jobs(SimpleNamespace(**ended, **at_hand))
    assert kinds == {engine.kind for engine in asked}


def ended_run(conf: dict[str, str], *operators: str) -> SimpleNamespace:
    """Build a failed run of corpus_refresh with tasks of these operators, all skipped."""
    common = {"dag_id": "corpus_refresh", "run_id": "r", "map_index": -1, "state": "skipped"}
    run = SimpleNamespace(dag_id="corpus_refresh", run_id="r", conf=conf)
    tasks = [SimpleNamespace(operator=o, task_id=o, dag_run=run, **common) for o in operators]
    run.get_task_instances = lambda session: tasks
    return run


@pytest.mark.parametrize(
    ("run", "ended"),
    [
        (ended_run({"engine": "emr"}, "StartEngineOperator", "EmptyOperator"), ["corpus_refresh r"]),
        (ended_run({}, "StartEngineOperator"), ["corpus_refresh r"]),  # by the settings
        (ended_run({"engine": "glue"}, "StartEngineOperator"), []),
        (ended_run({"engine": "emr"}, "EmptyOperator"), []),  # of another DAG
    ],
)
def test_a_run_that_has_failed_ends_its_cluster_where_it_may_have_one(
    run: SimpleNamespace, ended: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(jobs_listener, "end_cluster", lambda run: asked.append(f"{run.dag_id} {run.run_id}"))
    monkeypatch.setattr(jobs_listener, "object_session", lambda _: None)
    jobs_listener.on_dag_run_failed(run, "timed_out")
    assert asked == ended


def test_a_run_that_has_failed_is_looked_through_for_what_ended_unseen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A task marked failed had submitted its job after the listener's first look."""
    run = ended_run({}, "SageMakerProcessingOperator")
    states = ("failed", "skipped", "upstream_failed", "success", "removed", None)
    common = {"operator": "SageMakerProcessingOperator", "task_id": "evaluate"}
    tasks = [SimpleNamespace(state=state, **common) for state in states]
    run.get_task_instances = lambda session: tasks
    looked: list[Any] = []
    monkeypatch.setattr(jobs_listener, "stop_jobs", lambda task_instance: looked.append(task_instance.state))
    monkeypatch.setattr(jobs_listener, "object_session", lambda _: None)
    jobs_listener.on_dag_run_failed(run, "")
    assert looked == ["failed", "skipped", "upstream_failed"]


def test_what_aws_refuses_for_one_task_keeps_neither_the_next_nor_the_cluster_from_its_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[str] = []

    def refuse(task_instance: Any) -> None:
        asked.append(task_instance.task_id)
        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "no"}}, "DescribeTrainingJob")

    monkeypatch.setattr(jobs_listener, "stop_jobs", refuse)
    monkeypatch.setattr(jobs_listener, "end_cluster", lambda _: asked.append("its cluster"))
    monkeypatch.setattr(jobs_listener, "object_session", lambda _: None)
    jobs_listener.on_dag_run_failed(ended_run({}, "StartEngineOperator", "SparkJobOperator"), "")
    assert asked == ["StartEngineOperator", "SparkJobOperator", "its cluster"]
    assert "cannot stop the jobs of SparkJobOperator: An error occurred (Throttling" in caplog.text


@pytest.mark.parametrize("hook", ["on_task_instance_success", "on_task_instance_skipped"])
@pytest.mark.parametrize(("previous", "stopped"), [(None, ["train"]), ("running", [])])
def test_success_and_skipped_end_a_job_only_when_marked_by_hand(
    hook: str, previous: str | None, stopped: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    monkeypatch.setattr(
        jobs_listener, "stop_jobs", lambda task_instance: looked.append(task_instance.task_id)
    )
    getattr(jobs_listener, hook)(previous, SimpleNamespace(task_id="train"))
    assert looked == stopped


@pytest.fixture
def clusters(aws: Any) -> Any:
    """Starts the cluster of a run; ended with the test."""
    aws.client("s3").create_bucket(Bucket=CODE.bucket)
    emr, started = aws.client("emr"), []

    def start(run_id: str, **more: Any) -> str:
        request = cluster_request(load_settings("dev"), RunIdentity("dev", "tests", run_id).cluster, CODE)
        request |= more
        started.append(str(emr.run_job_flow(**request)["JobFlowId"]))
        return started[-1]

    yield start
    emr.terminate_job_flows(JobFlowIds=started)


def start_step(task: Task, cluster: str) -> str:
    """Start a step that runs for a minute and leave it to the trigger; return its name."""
    jar = {"Jar": "command-runner.jar", "Args": ["sleep", "60"]}
    spec = SparkJobSpec(
        kind=JobKind.EMR_STEP,
        request={"Name": "x", "ActionOnFailure": "CONTINUE", "HadoopJarStep": jar},
        limit_seconds=600,
        marker_uri=str(CODE / "none.json"),
        error_uri=str(CODE / "error.json"),
    )
    one = SparkJobOperator(task_id="clean", job=spec, scope=cluster, poll_interval_seconds=0.2)
    with pytest.raises(TaskDeferred):
        one.execute(task.context(one))
    return str(task.xcoms["job_name"])


def ended(run_id: str, state: str = "failed") -> None:
    """Airflow tells of the task `clean` of a run."""
    run = SimpleNamespace(conf={"engine": "emr"})
    told = {"dag_id": "tests", "run_id": run_id, "task_id": "clean", "map_index": -1, "state": state}
    task_instance = SimpleNamespace(operator="SparkJobOperator", dag_run=run, **told)
    jobs_listener.on_task_instance_failed(None, task_instance, None)


def test_a_step_marked_failed_is_cancelled_on_its_runs_cluster_alone(clusters: Any, task: Task) -> None:
    mine, other = clusters(task.name), clusters("another run")
    name, others_name = start_step(task, mine), start_step(Task("another run"), other)
    steps, others_steps = (jobs_of(JobKind.EMR_STEP, cluster) for cluster in (mine, other))
    ended(task.name, "up_for_retry")
    assert steps.describe(name).state is JobState.ACTIVE  # the retry attaches to it
    ended(task.name)
    wait_until(lambda: steps.describe(name).state, lambda state: state in _OVER)
    assert others_steps.describe(others_name).state is JobState.ACTIVE
    ended(task.name)  # over already: no error


def test_both_clusters_of_a_run_end_if_an_answer_of_run_job_flow_was_lost(
    aws: Any, clusters: Any, task: Task
) -> None:
    first, second, other = clusters(task.name), clusters(task.name), clusters("another run of the DAG")
    name, twin = (start_step(Task(task.name), cluster) for cluster in (first, second))
    ended(task.name)
    for cluster, step in ((first, name), (second, twin)):
        steps = jobs_of(JobKind.EMR_STEP, cluster)
        wait_until(lambda: steps.describe(step).state, lambda state: state in _OVER)  # noqa: B023
    jobs_listener.end_cluster(SimpleNamespace(dag_id="tests", run_id=task.name))
    states = [
        aws.client("emr").describe_cluster(ClusterId=cluster)["Cluster"]["Status"]["State"]
        for cluster in (first, second, other)
    ]
    assert [state.startswith("TERMINAT") for state in states] == [True, True, False]


def test_a_step_that_emr_does_not_cancel_is_named_in_the_log(
    clusters: Any, task: Task, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = clusters(task.name, ReleaseLabel="emr-5.20.0")
    steps, name = jobs_of(JobKind.EMR_STEP, cluster), start_step(task, cluster)
    wait_until(lambda: steps.describe(name).raw["Status"]["State"], lambda state: state == "RUNNING")
    ended(task.name)
    assert f"cannot stop jobs of emr: step {steps.describe(name).job_id} of cluster {cluster}" in caplog.text
    assert "got Step is in state RUNNING" in caplog.text
    assert steps.describe(name).state is JobState.ACTIVE


def test_the_steps_of_a_cluster_that_is_over_are_not_looked_for(
    aws: Any, clusters: Any, task: Task, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = clusters(task.name)
    start_step(task, cluster)
    aws.client("emr").terminate_job_flows(JobFlowIds=[cluster])
    ended(task.name)
    assert not caplog.records


def test_an_engine_that_the_account_does_not_allow_hides_no_other(
    clusters: Any, task: Task, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: Any) -> str:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "ListClusters")

    looked: list[str] = []
    monkeypatch.setattr(jobs_listener, "living_clusters", refuse)
    monkeypatch.setattr(jobs_listener, "jobs_of", lambda kind, _: looked.append(kind.value))
    monkeypatch.setattr(jobs_listener, "_stop_active", lambda *_: None)
    on_worker = {"dag_id": "tests", "run_id": task.name, "task_id": "clean", "map_index": -1}
    jobs_listener.stop_jobs(SimpleNamespace(operator="SparkJobOperator", **on_worker))
    assert looked == ["emr_serverless", "glue"]
    assert "cannot stop jobs of emr: An error occurred (AccessDenied" in caplog.text
