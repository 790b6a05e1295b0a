"""Stops the job of a task that was ended while neither a worker nor a trigger ran it.

Mark-failed in the UI runs in the API server, which cannot call on_kill of a task between its trigger and its
worker. The scheduler fails a task whose worker was lost in its last try. Both cases are handled here. So is
the cluster of a run that timed out, because Airflow skips its teardown.
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
from include.aws.emr_cluster import end_clusters, living_clusters
from include.aws.engines import Engine
from include.aws.job_states import JobKind
from include.aws.jobs import Jobs, jobs_of
from include.aws.rollouts import Rollouts
from include.contracts.errors import NexusError
from include.settings import load_settings
from nexus_airflow.identity import job_identity, run_identity

log = logging.getLogger(__name__)

#: Operators whose jobs are found by name only.
KINDS = {
    "SageMakerSpotTrainingOperator": JobKind.TRAINING,
    "SageMakerProcessingOperator": JobKind.PROCESSING,
}


@hookimpl
def on_task_instance_failed(previous_state: Any, task_instance: Any, error: Any) -> None:
    """Stop the job of a task that has finally failed. Before a retry the job continues, for the retry."""
    if _state(task_instance) != "up_for_retry":
        stop_jobs(task_instance)


@hookimpl
def on_task_instance_success(previous_state: Any, task_instance: Any) -> None:
    """Stop the job of a task that was marked as success by hand (no previous state)."""
    if previous_state is None:
        stop_jobs(task_instance)


@hookimpl
def on_task_instance_skipped(previous_state: Any, task_instance: Any) -> None:
    """Stop the job of a task that was marked as skipped by hand."""
    if previous_state is None:
        stop_jobs(task_instance)


@hookimpl
def on_dag_run_failed(dag_run: Any, msg: str) -> None:
    """Look for jobs a second time: one may have been submitted just before its task was marked failed.

    Airflow skips the teardown of a run that timed out, so the cluster is terminated here.
    """
    # uses the run's session: closing a separate one would detach objects that the scheduler holds
    task_instances = dag_run.get_task_instances(session=object_session(dag_run))
    for task_instance in task_instances:
        if _state(task_instance) in ("failed", "skipped", "upstream_failed"):
            with _continuing(f"the jobs of {task_instance.task_id}"):
                stop_jobs(task_instance)
    has_engine = any(_operator(task_instance) == "StartEngineOperator" for task_instance in task_instances)
    if has_engine and _engine(dag_run) is Engine.EMR:
        with _continuing("its cluster"):
            end_cluster(dag_run)


def stop_jobs(task_instance: Any) -> None:
    """Stop the job of this task, in any generation, or its rollout."""
    operator = _operator(task_instance)
    if operator in KINDS:
        _stop_active(task_instance, jobs_of(KINDS[operator]))
    elif operator == "SparkJobOperator":
        for engine in _engines(task_instance):
            # an engine that is not used may be forbidden in the account or missing in the region
            with _continuing(f"jobs of {engine.value}"):
                _stop_spark_job(task_instance, engine)
    elif operator == "EcsServiceRolloutOperator":
        _stop_rollout(task_instance)


def end_cluster(dag_run: Any) -> None:
    """Terminate the EMR cluster of a run, if it has a live one."""
    for cluster in end_clusters(client("emr"), run_identity(dag_run).cluster):
        log.warning("terminating cluster %s: its run has failed", cluster)


@contextlib.contextmanager
def _continuing(what: str) -> Iterator[None]:
    """Log an error of AWS, so that it does not keep the other jobs from being stopped."""
    try:
        yield
    except (BotoCoreError, ClientError, NexusError) as error:
        log.warning("cannot stop %s: %s", what, error)


def _stop_spark_job(task_instance: Any, engine: Engine) -> None:
    scopes = [engine.scope(load_settings(), task_instance.task_id)]
    if engine is Engine.EMR:
        # steps end with their cluster; before its teardown they are cancelled
        scopes = living_clusters(client("emr"), run_identity(task_instance).cluster)
    for scope in scopes:
        _stop_active(task_instance, jobs_of(engine.kind, scope))


def _stop_rollout(task_instance: Any) -> None:
    """Roll back to the old revision, if the deployment in progress is this task's."""
    serving = load_settings().serving
    owner = run_identity(task_instance).rollout(task_instance.task_id)
    for deployment in Rollouts(serving.cluster, serving.service).stop_of(owner):
        log.warning("rolling deployment %s back: its task was ended", deployment)


def _engines(task_instance: Any) -> Sequence[Engine]:
    """Return the engines on which a Spark job may run: all if its run is not known, as on a worker."""
    dag_run = vars(task_instance).get("dag_run")
    return [engine for engine in Engine if dag_run is None or engine is _engine(dag_run)]


def _engine(dag_run: Any) -> Engine:
    """Return the engine that a run of corpus_refresh chose."""
    return Engine((dag_run.conf or {}).get("engine", load_settings().corpus.engine))


def _stop_active(task_instance: Any, jobs: Jobs) -> None:
    for name in jobs.active(job_identity(task_instance)):
        log.warning("stopping job %s: its task was ended", name)
        jobs.stop(name)


def _operator(task_instance: Any) -> str:
    """Return the operator's class name: a column in the database, an attribute of the task on a worker."""
    stored = getattr(task_instance, "operator", None)
    return str(stored or getattr(getattr(task_instance, "task", None), "task_type", ""))


def _state(task_instance: Any) -> str:
    state = task_instance.state
    return str(getattr(state, "value", state))
