"""The life of one AWS job under one task: named by run + task + generation, never two at once.

Retry and loss of a worker re-attach; clear stops what runs and starts the next generation; mark-failed
stops the job, wherever the task stands: deferred (the trigger's on_kill), on a worker (``on_kill``
here), or in between (``nexus_airflow.listeners.jobs``).
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from airflow.sdk import BaseOperator, BaseOperatorLink, Context
from airflow.sdk.execution_time.context import NEVER_EXPIRE

from include.aws.job_states import JobState, JobView
from include.aws.jobs import JobKind, Jobs, jobs_of
from include.contracts.errors import NexusError
from include.contracts.job_names import job_name
from include.settings import load_settings
from nexus_airflow.errors import JobFailed, TaskEnded
from nexus_airflow.lifecycle import Action, Attempt, JobRecord, Phase, decide, was_cleared
from nexus_airflow.links.aws import JobLink, JobLogsLink, job_log_url, job_url
from nexus_airflow.params import is_true
from nexus_airflow.triggers.job import JobTrigger

_STORE_KEY = "job"
#: States of a job beside which no other of its task may start.
_AT_WORK = (JobState.ACTIVE, JobState.STOPPING)
#: States in which Airflow still wants the work of this try.
_WANTED = {"running", "queued", "scheduled"}


class JobOperator(BaseOperator):
    """Submit a job, wait for it, verify what it left.

    :param request: the service's request without the name (templated)
    :param scope: where jobs of this name are looked for, see ``include.aws.jobs.jobs_of`` (templated)
    :param force: a clear repeats completed work too (templated)
    :param reuse_existing: take whole output that an earlier run left, and start no job
    :param deferrable: wait in the triggerer (default) or on the worker
    """

    template_fields: Sequence[str] = ("request", "scope", "force")
    template_fields_renderers: ClassVar[dict[str, str]] = {"request": "json"}
    operator_extra_links: Sequence[BaseOperatorLink] = (JobLink(), JobLogsLink())
    ui_color = "#d5e8f7"

    def __init__(
        self,
        *,
        request: Any,
        scope: Any = "",
        force: Any = False,
        reuse_existing: bool = False,
        deferrable: bool = True,
        poll_interval_seconds: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.request = request
        self.scope = scope
        self.force = force
        self.reuse_existing = reuse_existing
        self.deferrable = deferrable
        self.poll_interval_seconds = poll_interval_seconds
        self._name = ""
        self._killed = False

    # ---- what a subclass says ---------------------------------------------
    @property
    @abstractmethod
    def kind(self) -> JobKind:
        """The kind of its jobs."""

    @abstractmethod
    def verified_output(self, context: Context) -> dict[str, Any] | None:
        """The result of a completed job when its output is there and whole, else None."""

    def prepare(self) -> None:
        """Whatever must be so before a job starts."""

    def result(self, output: dict[str, Any], view: JobView) -> dict[str, Any]:
        """What goes to XCom; ``view`` is the completed job, ABSENT when the output was reused."""
        return output

    def failure(self, view: JobView) -> NexusError:
        """The error of a job that ended otherwise than completed."""
        return JobFailed(
            f"the job ended {view.state.value}",
            where=self._name,
            expected="completed",
            got=view.reason or "no reason given",
            remedy=view.remedy or "read the job's log; a retry or clear starts the next generation",
        )

    # ---- life -------------------------------------------------------------
    def execute(self, context: Context) -> dict[str, Any]:
        """Decide what this try does (``lifecycle.decide``), do it, and wait."""
        attempt = _attempt(context)
        record = JobRecord.from_store(context["task_state_store"].get(_STORE_KEY))
        if record is None or record.scope != self.scope:
            record = JobRecord(1, self.scope, attempt, Phase.WORKER)
        cleared = was_cleared(record, attempt)
        generation = record.generation
        self._name = _name(context, generation)
        view = self._jobs().describe(self._name)
        force = is_true(self.force)
        may_reuse = view.state is JobState.COMPLETED or (self.reuse_existing and not force)
        output = self.verified_output(context) if may_reuse else None
        action = decide(view.state, cleared=cleared, verified=output is not None, force=force)
        self.log.info("job %s is %s: %s", self._name, view.state.value, action.value)
        if action is Action.REUSE and output is not None:
            self._remember(context, generation, Phase.DONE)
            return self.result(output, view)
        if action is Action.STOP_AND_ADVANCE:
            self._remember(context, generation, Phase.WORKER)
            self._jobs().stop(self._name)
            return self._wait(context, generation, "advance", view)
        if action is Action.ADVANCE:
            return self._submit(context, generation + 1)
        if action is Action.SUBMIT:
            return self._submit(context, generation)
        return self._wait(context, generation, "finish", view)

    def advance(self, context: Context, event: dict[str, Any] | None = None) -> dict[str, Any]:
        """The job of the cleared generation is over: start the next one."""
        record = JobRecord.from_store(context["task_state_store"].get(_STORE_KEY))
        if record is None:
            return self._submit(context, 1)
        self._name = _name(context, record.generation)
        view = self._jobs().describe(self._name)
        if view.state in _AT_WORK:  # the trigger gave up looking
            return self._wait(context, record.generation, "advance", view)
        return self._submit(context, record.generation + 1)

    def finish(self, context: Context, event: dict[str, Any] | None = None) -> dict[str, Any]:
        """The job is over: its result, or JobFailed with the service's reason."""
        record = JobRecord.from_store(context["task_state_store"].get(_STORE_KEY))
        generation = record.generation if record else 1
        self._name = _name(context, generation)
        view = self._jobs().describe(self._name)
        if view.state is JobState.ABSENT:
            raise JobFailed(
                "the job is gone",
                where=self._name,
                expected="a job of this name",
                remedy="look whether its cluster or application was ended; a retry or clear starts it again",
            )
        if view.state in _AT_WORK:  # the trigger gave up looking; the job did not give up working
            return self._wait(context, generation, "finish", view)
        if view.state is not JobState.COMPLETED:
            raise self.failure(view)
        output = self.verified_output(context)
        if output is None:
            raise JobFailed(
                "the job completed but left no whole output",
                where=self._name,
                remedy="read the job's log, then clear this task",
            )
        self._remember(context, generation, Phase.DONE)
        return self.result(output, view)

    def on_kill(self) -> None:
        """A user ended the task while a worker had it (or the worker is told to stop)."""
        self._killed = True
        if self._name:
            self._jobs().stop(self._name)

    # ---- steps ------------------------------------------------------------
    def _submit(self, context: Context, generation: int) -> dict[str, Any]:
        self._name = _name(context, generation)
        # remembered before it is started: a try that dies in between finds the name, and no job
        self._remember(context, generation, Phase.WORKER)
        view = self._jobs().describe(self._name)
        self._push_links(context, view)  # also for a job that cannot be submitted
        if view.state is JobState.ABSENT:
            self.prepare()
            self._jobs().submit(self._name, self.request)
            self.log.info("submitted %s", self._name)
        self._stop_unwanted(context)
        return self._wait(context, generation, "finish", self._jobs().describe(self._name))

    def _stop_unwanted(self, context: Context) -> None:
        """A mark-failed between the last heartbeat and the submission met no job to stop: look again."""
        ti = context["ti"]
        states = ti.get_task_states(
            dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id], map_index=ti.map_index
        )
        state = next(iter(states.get(ti.run_id, {}).values()), None)
        if self._killed or (state is not None and str(state) not in _WANTED):
            self._jobs().stop(self._name)
            raise TaskEnded("a user ended this task; its job was stopped", where=self._name, got=str(state))

    def _wait(self, context: Context, generation: int, method_name: str, view: JobView) -> dict[str, Any]:
        self._push_links(context, view)
        interval = self.poll_interval_seconds or load_settings().airflow.poll_interval_seconds
        if self.deferrable:
            self._remember(context, generation, Phase.DEFERRED)
            trigger = JobTrigger(self.kind.value, self._name, self.scope, interval)
            self.defer(trigger=trigger, method_name=method_name)
        while self._jobs().describe(self._name).state in _AT_WORK:
            time.sleep(interval)
        if self._killed:
            raise TaskEnded("a user ended this task; its job was stopped", where=self._name)
        resume = self.advance if method_name == "advance" else self.finish
        return resume(context)

    def _remember(self, context: Context, generation: int, phase: Phase) -> None:
        record = JobRecord(generation, self.scope, _attempt(context), phase)
        context["task_state_store"].set(_STORE_KEY, record.to_store(), retention=NEVER_EXPIRE)

    def _push_links(self, context: Context, view: JobView) -> None:
        settings = load_settings()
        is_serverless = self.kind is JobKind.EMR_SERVERLESS
        log_uri = settings.emr_serverless.log_uri if is_serverless else settings.emr.log_uri
        links = {
            "job_name": self._name,
            JobLink.stored_key: job_url(self.kind, settings.region, self._name, self.scope),
            JobLogsLink.stored_key: job_log_url(self.kind, settings.region, log_uri, view.log_prefix),
        }
        for key, value in links.items():
            context["ti"].xcom_push(key=key, value=value)

    def _jobs(self) -> Jobs:
        return jobs_of(self.kind, self.scope)


def _attempt(context: Context) -> Attempt:
    run, ti = context["dag_run"], context["ti"]
    return Attempt(clear_number=run.clear_number or 0, max_tries=ti.max_tries)


def _name(context: Context, generation: int) -> str:
    ti = context["ti"]
    task_id = ti.task_id if ti.map_index in (None, -1) else f"{ti.task_id}-{ti.map_index}"
    return job_name(ti.dag_id, ti.run_id, task_id, generation)
