"""Stop what runs of a task that a user or Airflow ended while neither worker nor trigger had it.

Mark-failed in the UI runs in the API server: a task between its trigger and its worker has no on_kill
to call. A task whose worker died for the last time is failed by the scheduler. Both end here; so does the
cluster of a run that timed out, of which Airflow skips the teardown too.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from typing import Any

from airflow.listeners import hookimpl
from botocore.exceptions import BotoCoreError, ClientError
from sqlalchemy.orm import object_session

from include.aws.clients import client
from include.aws.emr import living_cluster
from include.aws.engines import Engine
from include.aws.job_states import JobState
from include.aws.jobs import JobKind, Jobs, jobs_of
from include.aws.rollouts import Rollouts
from include.contracts.job_names import cluster_name, job_name, rollout_name
from include.settings import load_settings

log = logging.getLogger(__name__)

#: Operators whose jobs are found by name alone.
KINDS = {
    "SageMakerSpotTrainingOperator": JobKind.TRAINING,
    "SageMakerProcessingOperator": JobKind.PROCESSING,
}


@hookimpl
def on_task_instance_failed(previous_state: Any, task_instance: Any, error: Any) -> None:
    """A task is failed for good: its job must not run on. A coming retry re-attaches instead."""
    if _state(task_instance) != "up_for_retry":
        stop_jobs(task_instance)


@hookimpl
def on_task_instance_success(previous_state: Any, task_instance: Any) -> None:
    """Marked as success by hand (no previous state): what runs is not wanted any more."""
    if previous_state is None:
        stop_jobs(task_instance)


@hookimpl
def on_task_instance_skipped(previous_state: Any, task_instance: Any) -> None:
    """Marked as skipped by hand."""
    if previous_state is None:
        stop_jobs(task_instance)


@hookimpl
def on_dag_run_failed(dag_run: Any, msg: str) -> None:
    """The run is over: a second look closes the gap between mark-failed and submission.

    A run that timed out has its teardown skipped, so that its cluster is ended here.
    """
    # in the run's own session: a session of its own, when it closed, would detach what the scheduler holds
    task_instances = dag_run.get_task_instances(session=object_session(dag_run))
    for task_instance in task_instances:
        if _state(task_instance) in ("failed", "skipped", "upstream_failed"):
            with _going_on(f"the jobs of {task_instance.task_id}"):
                stop_jobs(task_instance)
    has_engine = any(_operator(task_instance) == "StartEngineOperator" for task_instance in task_instances)
    if has_engine and _engine(dag_run) is Engine.EMR:
        with _going_on("its cluster"):
            end_cluster(dag_run.dag_id, dag_run.run_id)


def stop_jobs(task_instance: Any) -> None:
    """Stop what runs of this task: its job, in any generation, or its rollout."""
    operator = _operator(task_instance)
    if operator in KINDS:
        _stop_generations(task_instance, jobs_of(KINDS[operator]))
    elif operator == "SparkJobOperator":
        for engine in _engines(task_instance):
            # an account need not allow, nor a region have, the engine that it does not use
            with _going_on(f"jobs of {engine.value}"):
                _stop_spark_job(task_instance, engine)
    elif operator == "EcsServiceRolloutOperator":
        _stop_rollout(task_instance)


def end_cluster(dag_id: str, run_id: str) -> None:
    """Terminate the EMR cluster of this run, if it has one that lives."""
    emr = client("emr")
    cluster = living_cluster(emr, cluster_name(dag_id, run_id))
    if cluster:
        log.warning("terminating cluster %s: its run has failed", cluster)
        emr.terminate_job_flows(JobFlowIds=[cluster])


@contextlib.contextmanager
def _going_on(what: str) -> Iterator[None]:
    """What AWS refuses for one must not keep the others from being stopped."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        log.warning("cannot stop %s: %s", what, error)


def _stop_spark_job(task_instance: Any, engine: Engine) -> None:
    scope: str | None = engine.scope(load_settings(), task_instance.task_id)
    if engine is Engine.EMR:
        # steps end with their cluster; before its teardown they are cancelled
        scope = living_cluster(client("emr"), cluster_name(task_instance.dag_id, task_instance.run_id))
    if scope:
        _stop_generations(task_instance, jobs_of(engine.kind, scope))


def _stop_rollout(task_instance: Any) -> None:
    """Back to the old revision, if what is being rolled out is this task's."""
    serving = load_settings().serving
    owner = rollout_name(task_instance.dag_id, task_instance.run_id, task_instance.task_id)
    for deployment in Rollouts(serving.cluster, serving.service).stop_of(owner):
        log.warning("rolling deployment %s back: its task was ended", deployment)


def _engines(task_instance: Any) -> Sequence[Engine]:
    """Where to look for a Spark job: everywhere when its run is not at hand, as on a worker."""
    dag_run = vars(task_instance).get("dag_run")
    return [engine for engine in Engine if dag_run is None or engine is _engine(dag_run)]


def _engine(dag_run: Any) -> Engine:
    """What a run of corpus_refresh chose."""
    return Engine((dag_run.conf or {}).get("engine", load_settings().corpus.engine))


def _stop_generations(task_instance: Any, jobs: Jobs) -> None:
    """Generations are contiguous from 1."""
    task_id, index = task_instance.task_id, task_instance.map_index
    task_id = task_id if index in (None, -1) else f"{task_id}-{index}"
    generation = 1
    while True:
        name = job_name(task_instance.dag_id, task_instance.run_id, task_id, generation)
        state = jobs.describe(name).state
        if state is JobState.ABSENT:
            return
        if state is JobState.ACTIVE:
            log.warning("stopping job %s: its task was ended", name)
            jobs.stop(name)
        generation += 1


def _operator(task_instance: Any) -> str:
    """Class name of the operator: a column in the database, an attribute of the task on a worker."""
    stored = getattr(task_instance, "operator", None)
    return str(stored or getattr(getattr(task_instance, "task", None), "task_type", ""))


def _state(task_instance: Any) -> str:
    state = task_instance.state
    return str(getattr(state, "value", state))
