"""Put a task definition behind the load balancer and wait for this very deployment."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, ClassVar

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException
from airflow.sdk.execution_time.context import NEVER_EXPIRE

from include.aws.rollouts import Rollouts, RolloutState, RolloutView
from include.contracts.job_names import rollout_name
from include.settings import load_settings
from nexus_airflow.errors import RolloutFailed
from nexus_airflow.links.aws import EcsServiceLink, service_url
from nexus_airflow.triggers.rollout import RolloutTrigger

_STORE_KEY = "rollout"


class EcsServiceRolloutOperator(BaseOperator):
    """Register the task definition, update or create the service, wait for the deployment.

    A rollback by the circuit breaker is a failure with its reason, and no retry repeats it. A retry
    after the loss of a worker attaches to the deployment that was started. Mark-failed takes it back,
    wherever the task stands: ``on_kill``, the trigger's, or ``nexus_airflow.listeners.jobs``.

    :param task_definition: request of RegisterTaskDefinition (templated)
    """

    template_fields: Sequence[str] = ("task_definition",)
    template_fields_renderers: ClassVar[dict[str, str]] = {"task_definition": "json"}
    operator_extra_links = (EcsServiceLink(),)
    ui_color = "#f7e3d5"

    def __init__(
        self, *, task_definition: Any, poll_interval_seconds: float | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.task_definition = task_definition
        self.poll_interval_seconds = poll_interval_seconds
        self._deployment = ""

    def execute(self, context: Context) -> dict[str, Any]:
        """Start the rollout, or find the one that this task started, and wait."""
        serving = load_settings().serving
        url = service_url(load_settings().region, serving.cluster, serving.service)
        context["ti"].xcom_push(key=EcsServiceLink.stored_key, value=url)
        store = context["task_state_store"]
        record: Any = store.get(_STORE_KEY)
        if not isinstance(record, dict) or record["clear_number"] != (context["dag_run"].clear_number or 0):
            record = self._register(context)
        new = [arn for arn in self._rollouts().known() if arn not in record["known"]]
        if not new:
            self._rollouts().start(load_settings(), record["task_definition"])
            new = [arn for arn in self._rollouts().known() if arn not in record["known"]]
        if not new:
            raise RolloutFailed(
                "ECS lists no new deployment", where=serving.service, remedy="clear this task"
            )
        self._deployment = new[0]
        self.log.info("deployment %s of %s", self._deployment, record["task_definition"])
        return self._wait(record)

    def finish(
        self, context: Context, record: dict[str, Any], deployment: str, event: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """The deployment is over: what serves now, or the reason why the old revision still does."""
        self._deployment = deployment
        view = self._rollouts().look(deployment)
        if view.state is RolloutState.ACTIVE:
            if time.time() < record["deadline"]:
                return self._wait(record)
            self._rollouts().stop(deployment)
            limit = load_settings().serving.rollout_timeout_seconds
            raise AirflowFailException(str(_failure(view, f"not done within {limit} s; rolled back")))
        if view.state is RolloutState.FAILED:
            raise AirflowFailException(str(_failure(view, f"ECS ended the deployment {view.status}")))
        return {
            "deployment_id": deployment,
            "task_definition": record["task_definition"],
            "previous_task_definition": record["previous"],
            "revision": str(record["task_definition"]).rpartition("/")[2],
            "endpoint": load_settings().serving.endpoint_url,
        }

    def on_kill(self) -> None:
        """A user ended the task while a worker had it: back to the old revision."""
        if self._deployment:
            self._rollouts().stop(self._deployment)

    def _register(self, context: Context) -> dict[str, Any]:
        """Register the revision, and note what was there before it: the rest is ours."""
        ti = context["ti"]
        owner = rollout_name(ti.dag_id, ti.run_id, ti.task_id)
        record: dict[str, Any] = {
            "task_definition": self._rollouts().register(self.task_definition, owner),
            "known": self._rollouts().known(),
            "previous": self._rollouts().serving(),
            "clear_number": context["dag_run"].clear_number or 0,
            "deadline": time.time() + load_settings().serving.rollout_timeout_seconds,
        }
        context["task_state_store"].set(_STORE_KEY, record, retention=NEVER_EXPIRE)
        return record

    def _wait(self, record: dict[str, Any]) -> dict[str, Any]:
        settings = load_settings()
        trigger = RolloutTrigger(
            settings.serving.cluster,
            settings.serving.service,
            self._deployment,
            self.poll_interval_seconds or settings.airflow.poll_interval_seconds,
            float(record["deadline"]),
        )
        kwargs = {"record": record, "deployment": self._deployment}
        return self.defer(trigger=trigger, method_name="finish", kwargs=kwargs)

    def _rollouts(self) -> Rollouts:
        serving = load_settings().serving
        return Rollouts(serving.cluster, serving.service)


def _failure(view: RolloutView, what: str) -> RolloutFailed:
    return RolloutFailed(
        what,
        where=str(view.raw.get("serviceDeploymentArn", "")),
        expected="SUCCESSFUL",
        got=view.reason or view.status,
        remedy="read the log of the new revision's tasks; the old revision serves on",
    )
