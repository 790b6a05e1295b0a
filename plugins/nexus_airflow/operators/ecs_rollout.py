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
from nexus_airflow.errors import RolloutFailed
from nexus_airflow.identity import run_identity
from nexus_airflow.links.aws import EcsServiceLink, service_link
from nexus_airflow.operators.waiting import WaitingOperator
from nexus_airflow.triggers.rollout import RolloutTrigger

_STORE_KEY = "rollout"


@dataclass(frozen=True)
class RolloutRecord:
    """The record that a task keeps between its tries.

    ``registered_at`` is when ECS registered the task definition (ISO format), ``previous`` the revision that
    served then, ``deadline`` when the rollout is rolled back (epoch seconds).
    """

    task_definition: str
    registered_at: str
    previous: str
    clear_number: int
    deadline: float


class EcsServiceRolloutOperator(WaitingOperator):
    """Register the task definition, update or create the service, wait for the deployment.

    If the circuit breaker rolls the deployment back, the task fails with the reason and is not retried. A
    retry after the loss of a worker attaches only to the deployment of the task definition that this task
    registered. Mark-failed rolls the deployment back in every state of the task: by ``on_kill`` here or of
    the trigger, or by ``nexus_airflow.listeners.jobs``. The operator has no ``execution_timeout``: the
    settings limit a rollout.

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
            rollouts.start(load_settings(), record.task_definition)
            record = replace(record, deadline=time.time() + self._limit_seconds)
            self._remember(context, record)
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
        return self._wait(record)

    def finish(
        self, context: Context, record: dict[str, Any], deployment: str, event: Any = None
    ) -> dict[str, Any]:
        """Return the revision that serves now, or raise an error with the reason of the failure."""

        def step(context: Context) -> dict[str, Any]:
            return self._finish(from_plain(RolloutRecord, record, where="the rollout of this task"))

        self._deployment = deployment
        return self.patiently(context, step)

    def _finish(self, record: RolloutRecord) -> dict[str, Any]:
        view = self._rollouts().look(self._deployment)
        if view.state is RolloutState.ACTIVE:
            if time.time() < record.deadline:
                return self._wait(record)
            self._rollouts().stop(self._deployment)
            raise self._failure(view, record, f"not done within {self._limit_seconds} s; it is rolled back")
        if view.state is RolloutState.FAILED:
            raise self._failure(view, record, f"ECS ended the deployment {view.status}")
        return {
            "deployment_id": self._deployment,
            "task_definition": record.task_definition,
            "previous_task_definition": record.previous,
            "revision": _revision(record.task_definition),
            "endpoint": load_settings().serving.endpoint_url,
        }

    def on_kill(self) -> None:
        """Roll back to the old revision, because a user ended the task while a worker ran it."""
        if self._deployment:
            self._rollouts().stop(self._deployment)

    @property
    def interval(self) -> float:
        """See WaitingOperator."""
        return self.poll_interval_seconds or super().interval

    @property
    def _limit_seconds(self) -> int:
        return load_settings().serving.rollout_timeout_seconds

    def _record(self, context: Context) -> RolloutRecord:
        """Return the task's record, or register the revision and record which one serves before it."""
        clear_number = context["dag_run"].clear_number or 0
        try:
            stored = from_plain(RolloutRecord, context["task_state_store"].get(_STORE_KEY), where=_STORE_KEY)
            if stored.clear_number == clear_number:
                return stored
        except ContractError:
            pass  # nothing was stored yet
        ti = context["ti"]
        owner = run_identity(ti).rollout(ti.task_id)
        definition, registered_at = self._rollouts().register(self.task_definition, owner)
        deadline = time.time() + self._limit_seconds
        record = RolloutRecord(
            definition, registered_at.isoformat(), self._rollouts().serving(), clear_number, deadline
        )
        self._remember(context, record)
        return record

    @staticmethod
    def _remember(context: Context, record: RolloutRecord) -> None:
        context["task_state_store"].set(_STORE_KEY, to_plain(record), retention=NEVER_EXPIRE)

    def _wait(self, record: RolloutRecord) -> dict[str, Any]:
        serving = load_settings().serving
        trigger = RolloutTrigger(
            serving.cluster, serving.service, self._deployment, self.interval, record.deadline
        )
        kwargs = {"record": to_plain(record), "deployment": self._deployment}
        return self.defer(trigger=trigger, method_name="finish", kwargs=kwargs)

    def _failure(self, view: RolloutView, record: RolloutRecord, what: str) -> AirflowFailException:
        """Return the error of a rollout, with the revision that serves now. It is not retried."""
        rollouts = self._rollouts()
        status, serving = rollouts.service_status(), rollouts.serving()
        remedy = "read the log of the new revision's tasks"
        if status != "ACTIVE":
            what = "the service is being deleted" if status == "DRAINING" else "the service was deleted"
            now, remedy = "nothing serves", "clear this task to create the service again"
        elif serving == record.task_definition:
            now = "the service keeps the new revision, because there is none to roll back to"
        elif serving == record.previous:
            now = f"the old revision {_revision(serving)} serves on"
        else:
            now = f"{_revision(serving)} serves, which somebody rolled out meanwhile"
        error = RolloutFailed(
            f"{what}; {now}",
            where=self._deployment,
            expected="SUCCESSFUL",
            got=(view.reason if status == "ACTIVE" else "") or view.status,
            remedy=remedy,
        )
        return AirflowFailException(str(error))

    def _rollouts(self) -> Rollouts:
        serving = load_settings().serving
        return Rollouts(serving.cluster, serving.service)


def _revision(task_definition_arn: str) -> str:
    return task_definition_arn.rpartition("/")[2]
