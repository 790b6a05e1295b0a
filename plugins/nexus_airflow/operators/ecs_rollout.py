"""The operator that deploys a task definition to an ECS service and waits for this deployment."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar

from airflow.sdk import BaseOperatorLink, Context
from airflow.sdk.exceptions import AirflowFailException
from airflow.sdk.execution_time.context import NEVER_EXPIRE

from include.aws.rollouts import Rollouts, RolloutState, RolloutView
from include.contracts.errors import ContractError
from include.contracts.records import from_plain, to_plain
from include.settings import load_settings
from nexus_airflow.errors import RolloutFailed, TaskEnded
from nexus_airflow.identity import ended_state, run_identity
from nexus_airflow.links.aws import EcsServiceLink, service_link
from nexus_airflow.operators.waiting import WaitingOperator
from nexus_airflow.triggers.rollout import RolloutTrigger

_STORE_KEY = "rollout"


@dataclass(frozen=True)
class RolloutRecord:
    """The record that a task keeps between its tries.

    ``registered_at`` is when ECS registered the task definition (ISO format), ``previous`` the revision that
    was steady when the rollout started, ``deadline`` when the rollout is rolled back (epoch seconds).
    ``has_service`` is True if the service exists: if it is gone later, a person deleted it.
    """

    task_definition: str
    registered_at: str
    previous: str
    clear_number: int
    deadline: float
    has_service: bool = False


class EcsServiceRolloutOperator(WaitingOperator):
    """Register the task definition, update or create the service, wait for the deployment.

    If the circuit breaker rolls the deployment back, the task fails with the reason and is not retried. A
    retry after the loss of a worker attaches only to the deployment of the task definition that this task
    registered. It does not create a service that a person has deleted; a clear does. Mark-failed rolls the
    deployment back in every state of the task: by ``on_kill`` of the trigger, or by
    ``nexus_airflow.listeners.jobs``. The shutdown of a worker does not. The operator has no
    ``execution_timeout``: the settings limit a rollout.

    :param task_definition: request of RegisterTaskDefinition (templated)
    """

    template_fields: Sequence[str] = ("task_definition",)
    template_fields_renderers: ClassVar[dict[str, str]] = {"task_definition": "json"}
    operator_extra_links: Sequence[BaseOperatorLink] = (EcsServiceLink(),)
    ui_color = "#f7e3d5"

    def __init__(
        self, *, task_definition: Any, poll_interval_seconds: float | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**(kwargs | {"execution_timeout": None}))
        self.task_definition = task_definition
        self.poll_interval_seconds = poll_interval_seconds
        self._deployment = ""
        self._killed = False

    def execute(self, context: Context) -> dict[str, Any]:
        """Start the rollout, or find the one that this task started, and wait."""
        return self.patiently(context, self.begin)

    def begin(self, context: Context) -> dict[str, Any]:
        """See execute."""
        for key, value in service_link(load_settings()).items():
            context["ti"].xcom_push(key=key, value=value)
        rollouts, record = self._rollouts(), self._record(context)
        registered_at = datetime.fromisoformat(record.registered_at)
        deployment = rollouts.deployment_of(record.task_definition, registered_at)
        if deployment is None:
            record = self._start(context, record)
            deployment = rollouts.deployment_of(record.task_definition, registered_at)
        if deployment is None:
            raise RolloutFailed(
                "ECS lists no deployment of the new revision",
                where=record.task_definition,
                remedy="clear this task",
            )
        self.found_room(context)
        self._deployment = deployment
        self.log.info("deployment %s of %s", deployment, record.task_definition)
        return self._wait(context, record)

    def finish(
        self, context: Context, record: dict[str, Any], deployment: str, event: Any = None
    ) -> dict[str, Any]:
        """Return the revision that serves now, or raise an error with the reason of the failure."""

        def step(context: Context) -> dict[str, Any]:
            return self._finish(context, from_plain(RolloutRecord, record, where="the rollout of this task"))

        self._deployment = deployment
        return self.patiently(context, step)

    def _finish(self, context: Context, record: RolloutRecord) -> dict[str, Any]:
        view = self._rollouts().look(self._deployment)
        if view.state is RolloutState.ACTIVE:
            if time.time() < record.deadline:
                return self._wait(context, record)
            self._rollouts().stop(self._deployment)
            what = f"not done within {self._limit_seconds} s, so it is being rolled back"
            raise self._failure(record, what, view)
        if view.state is RolloutState.FAILED:
            raise self._failure(record, f"ECS ended the deployment {view.status}", view)
        return {
            "deployment_id": self._deployment,
            "task_definition": record.task_definition,
            "previous_task_definition": record.previous,
            "revision": _revision(record.task_definition),
            "endpoint": load_settings().serving.endpoint_url,
        }

    def on_kill(self) -> None:
        """Record the signal: a user ended the task on a worker, or the worker is shut down."""
        self._killed = True

    @property
    def interval(self) -> float:
        """See WaitingOperator."""
        return self.poll_interval_seconds or super().interval

    @property
    def _limit_seconds(self) -> int:
        return load_settings().serving.rollout_timeout_seconds

    def _record(self, context: Context) -> RolloutRecord:
        """Return the task's record, or register the revision and record that."""
        clear_number = context["dag_run"].clear_number or 0
        try:
            stored = from_plain(RolloutRecord, context["task_state_store"].get(_STORE_KEY), where=_STORE_KEY)
            if stored.clear_number == clear_number:
                return stored
        except ContractError:
            pass  # nothing was stored yet
        ti, rollouts = context["ti"], self._rollouts()
        owner = run_identity(ti).rollout(ti.task_id)
        definition, registered_at = rollouts.register(self.task_definition, owner)
        exists = rollouts.service_status() == "ACTIVE"
        record = RolloutRecord(definition, registered_at.isoformat(), "", clear_number, 0.0, exists)
        self._remember(context, record)
        return record

    def _start(self, context: Context, record: RolloutRecord) -> RolloutRecord:
        """Start the rollout, unless a person has deleted the service. Return the new record."""
        rollouts = self._rollouts()
        if record.has_service and rollouts.service_status() != "ACTIVE":
            raise self._failure(record, "the rollout was not started")
        deadline = time.time() + self._limit_seconds
        record = replace(record, previous=rollouts.steady(), deadline=deadline)
        self._remember(context, record)
        rollouts.start(load_settings(), record.task_definition, may_create=not record.has_service)
        record = replace(record, has_service=True)
        self._remember(context, record)
        return record

    @staticmethod
    def _remember(context: Context, record: RolloutRecord) -> None:
        context["task_state_store"].set(_STORE_KEY, to_plain(record), retention=NEVER_EXPIRE)

    def _wait(self, context: Context, record: RolloutRecord) -> dict[str, Any]:
        """Defer. Mark-failed finds no deployment while it is being started, so it is looked for here."""
        if state := ended_state(context["ti"], self._killed):
            self._rollouts().stop(self._deployment)
            what = "a user ended this task; its deployment is being rolled back"
            raise TaskEnded(what, where=self._deployment, got=state)
        serving = load_settings().serving
        trigger = RolloutTrigger(
            serving.cluster, serving.service, self._deployment, self.interval, record.deadline
        )
        kwargs = {"record": to_plain(record), "deployment": self._deployment}
        return self.defer(trigger=trigger, method_name="finish", kwargs=kwargs)

    def _failure(
        self, record: RolloutRecord, what: str, view: RolloutView | None = None
    ) -> AirflowFailException:
        """Return the error of a rollout, with the revision that serves now. It is not retried."""
        rollouts, got = self._rollouts(), (view.reason or view.status) if view else ""
        status = rollouts.service_status()
        if status == "ACTIVE":
            now, remedy = _serving_now(rollouts, record), "read the log of the new revision's tasks"
        else:
            is_draining = status == "DRAINING"
            what = "the service is being deleted" if is_draining else "the service was deleted"
            now, got = "nothing serves", status or "no service"
            remedy = "clear this task to create the service again"
        error = RolloutFailed(
            f"{what}; {now}",
            where=self._deployment or record.task_definition,
            expected="SUCCESSFUL",
            got=got,
            remedy=remedy,
        )
        return AirflowFailException(str(error))

    def _rollouts(self) -> Rollouts:
        serving = load_settings().serving
        return Rollouts(serving.cluster, serving.service)


def _serving_now(rollouts: Rollouts, record: RolloutRecord) -> str:
    """Describe which revision serves after the rollout of ``record`` has failed."""
    steady, target = rollouts.steady(), rollouts.target()
    serves = f"{_revision(steady)} serves" if steady else "no revision is healthy"
    if target not in (record.task_definition, record.previous, steady):
        return f"{serves}, and somebody is rolling out {_revision(target)}"
    if not steady:
        return "the service keeps the new revision, because there is none to roll back to"
    if steady == record.previous:
        return f"the old revision {_revision(steady)} serves on"
    return f"{serves}, which somebody rolled out meanwhile"


def _revision(task_definition_arn: str) -> str:
    return task_definition_arn.rpartition("/")[2]
