"""The operator that runs one AWS job per task. The job is named by the task's identity and a generation.

There are never two jobs at once. A retry, also after the loss of a worker, attaches to the job again. A clear
or a changed request stops the job and starts the next generation. Mark-failed stops the job in every state of
the task: deferred (``on_kill`` of the trigger), on a worker (``on_kill`` here), or in between
(``nexus_airflow.listeners.jobs``).
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

from airflow.sdk import BaseOperatorLink, Context
from airflow.sdk.execution_time.context import NEVER_EXPIRE

from include.aws.job_specs import JobSpec, request_hash
from include.aws.job_states import EndedBy, JobState, JobView
from include.aws.jobs import Jobs, jobs_of
from include.aws.refusals import capacity_refusal
from include.contracts.errors import NexusError
from include.contracts.job_names import GENERATION_LIMIT, JobIdentity
from include.contracts.records import from_plain, to_plain
from include.settings import load_settings
from nexus_airflow.errors import EngineEnded, JobCancelled, JobFailed, JobTimedOut, TaskEnded
from nexus_airflow.identity import job_identity
from nexus_airflow.job_log import last_lines
from nexus_airflow.lifecycle import Action, Attempt, JobRecord, Phase, Situation, decide, is_for, was_cleared
from nexus_airflow.links.aws import JobLink, JobLogsLink, job_links
from nexus_airflow.operators.waiting import WaitingOperator
from nexus_airflow.triggers.job import JobTrigger

_STORE_KEY = "job"
#: The states of a task instance whose try is still in progress.
_WANTED = {"running", "queued", "scheduled"}
#: The poll interval in seconds for a job that is being stopped.
_LONGEST_STOP_SECONDS = 3600.0


class JobOperator(WaitingOperator):
    """Submit a job, wait for it, verify its output.

    The operator has no ``execution_timeout``: the record of the job sets the deadline.

    :param job: a JobSpec, or its plain form as a plan passes it (templated)
    :param scope: the scope in which the job is looked up, instead of that of the record (templated)
    :param deferrable: wait in the triggerer (default) or on the worker
    """

    template_fields: Sequence[str] = ("job", "scope")
    template_fields_renderers: ClassVar[dict[str, str]] = {"job": "json"}
    operator_extra_links: Sequence[BaseOperatorLink] = (JobLink(), JobLogsLink())
    ui_color = "#d5e8f7"
    #: The record that ``job`` holds.
    spec_type: type[JobSpec] = JobSpec

    def __init__(
        self,
        *,
        job: Any,
        scope: Any = "",
        deferrable: bool = True,
        poll_interval_seconds: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**(kwargs | {"execution_timeout": None}))
        self.job = to_plain(job) if isinstance(job, JobSpec) else job
        self.scope = scope
        self.deferrable = deferrable
        self.poll_interval_seconds = poll_interval_seconds
        self._name = ""
        self._killed = False
        self._lacked_capacity = False

    # ---- for subclasses ---------------------------------------------------
    @abstractmethod
    def verified_output(self, context: Context) -> dict[str, Any] | None:
        """Return the result of a completed job if its output is complete, otherwise None."""

    def takes_earlier_output(self) -> bool:
        """Return True if complete output of an earlier run is reused instead of a job."""
        return False

    def prepare(self, context: Context) -> None:
        """Prepare the start of a job."""

    def result(self, output: dict[str, Any], view: JobView) -> dict[str, Any]:
        """Return the task's XCom. ``view`` is the completed job, or ABSENT if the output was reused."""
        return output

    def failure(self, view: JobView) -> NexusError:
        """Return the error of a job that did not complete."""
        kind, what, remedy = _ENDS[view.ended_by]
        return kind(
            f"{what} ({view.state.value})",
            where=self._name,
            expected="completed",
            got=view.reason or "no reason given",
            remedy=view.remedy or remedy,
        )

    # ---- life cycle -------------------------------------------------------
    def execute(self, context: Context) -> dict[str, Any]:
        """Start or find the job of this task and wait for it."""
        return self.patiently(context, self.begin)

    def advance(self, context: Context, event: Any = None) -> dict[str, Any]:
        """Start the next generation, because the job of the last one has ended."""
        return self.patiently(context, self._advance)

    def finish(self, context: Context, event: Any = None) -> dict[str, Any]:
        """Return the result of the ended job, or raise an error with the service's reason."""
        return self.patiently(context, self._finish)

    def on_kill(self) -> None:
        """Stop the job, because a user ended the task on a worker, or the worker is shut down."""
        self._killed = True
        if self._name:
            self._jobs().stop(self._name)

    # ---- the course of a try ----------------------------------------------
    def begin(self, context: Context) -> dict[str, Any]:
        """Decide what this try does (``lifecycle.decide``), do it, and wait."""
        record, attempt = self._record(context), _attempt(context)
        cleared = was_cleared(record, attempt)
        request_sha256 = request_hash(self.job)
        self._lacked_capacity = False
        for generation in range(record.generation, GENERATION_LIMIT + 1):
            self._name = self._identity(context).name(generation)
            view = self._jobs().describe(self._name)
            same = is_for(view, request_sha256)
            may_reuse = (view.state is JobState.COMPLETED and same) or self.takes_earlier_output()
            output = self.verified_output(context) if may_reuse else None
            submitted = record.is_submitted and generation == record.generation
            action = decide(
                Situation(view.state, same, submitted, cleared, output is not None, self.spec.force)
            )
            self.log.info("job %s is %s: %s", self._name, view.state.value, action.value)
            if action is not Action.ADVANCE:
                break
            self._lacked_capacity = view.ended_by is EndedBy.CAPACITY
        record = replace(record, generation=generation, attempt=attempt, request_sha256=request_sha256)
        if action is Action.SUBMIT:
            return self._submit(context, record)
        self.found_room(context)
        if action is Action.REUSE and output is not None:
            self._remember(context, replace(record, phase=Phase.DONE))
            return self.result(output, view)
        if action is Action.STOP_AND_ADVANCE:
            self._jobs().stop(self._name)
            return self._wait_for_stop(context, record, view)
        return self._wait(context, record, "finish", view)

    def _advance(self, context: Context) -> dict[str, Any]:
        record = self._record(context)
        self._name = self._identity(context).name(record.generation)
        view = self._jobs().describe(self._name)
        if view.state.may_change:  # the trigger stopped polling after errors
            return self._wait_for_stop(context, record, view)
        return self._submit(context, replace(record, generation=record.generation + 1))

    def _finish(self, context: Context) -> dict[str, Any]:
        record = self._record(context)
        self._name = self._identity(context).name(record.generation)
        view = self._jobs().describe(self._name)
        if view.state in (JobState.ABSENT, JobState.DELETED):
            reason = view.reason or "no job of this name exists any more"
            view = replace(view, ended_by=EndedBy.PERSON, reason=reason)
        if view.state.may_change:
            if (
                time.time() < record.deadline
            ):  # the trigger stopped polling after errors, but the job may still run
                return self._wait(context, record, "finish", view)
            self._jobs().stop(self._name)
            raise self._timed_out(view)
        self.log.info("the last lines of the job's log:\n%s", last_lines(self.spec.kind, view))
        if view.ended_by is EndedBy.CAPACITY:
            resumed: dict[str, Any] = self.wait_for_room(context, capacity_refusal(view.reason))
            return resumed
        if view.state is not JobState.COMPLETED:
            raise self.failure(view)
        output = self.verified_output(context)
        if output is None:
            raise JobFailed(
                "the job completed without complete output",
                where=self._name,
                remedy="read the job's log, then clear this task",
            )
        self._remember(context, replace(record, phase=Phase.DONE))
        return self.result(output, view)

    # ---- steps ------------------------------------------------------------
    def _submit(self, context: Context, record: JobRecord) -> dict[str, Any]:
        self._name = self._identity(context).name(record.generation)
        limit = self.spec.limit_seconds
        record = replace(record, phase=Phase.WORKER, is_submitted=False, deadline=time.time() + limit)
        # recorded before the start: after an interruption in between, the next try finds the name and no job
        self._remember(context, record)
        view = self._jobs().describe(self._name)
        self._push_links(context, view)  # also for a job that cannot be submitted
        if view.state is not JobState.ABSENT:  # of a run that was deleted together with its record
            return self.begin(context)
        self.prepare(context)
        self._jobs().submit(self._name, self.spec.request, record.request_sha256)
        self.log.info("submitted %s", self._name)
        self._stop_unwanted(context)
        record = replace(record, is_submitted=True)
        if not self._lacked_capacity:  # an accepted job may still fail for the same lack of capacity
            self.found_room(context)
        return self._wait(context, record, "finish", self._jobs().describe(self._name))

    def _stop_unwanted(self, context: Context) -> None:
        """Stop the job if the task was ended during the submission, when mark-failed found no job yet."""
        ti = context["ti"]
        states = ti.get_task_states(
            dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id], map_index=ti.map_index
        )
        state = next(iter(states.get(ti.run_id, {}).values()), None)
        if self._killed or (state is not None and str(state) not in _WANTED):
            self._jobs().stop(self._name)
            raise TaskEnded("a user ended this task; its job was stopped", where=self._name, got=str(state))

    def _wait(self, context: Context, record: JobRecord, method_name: str, view: JobView) -> dict[str, Any]:
        self._push_links(context, view)
        if not record.deadline:  # the record of the submission was lost
            record = replace(record, deadline=time.time() + self.spec.limit_seconds)
        if self.deferrable:
            self._remember(context, replace(record, phase=Phase.DEFERRED))
            trigger = JobTrigger(
                self.spec.kind.value, self._name, self._scope, self.interval, record.deadline
            )
            self.defer(trigger=trigger, method_name=method_name)
        self._remember(context, record)
        while time.time() < record.deadline and self._jobs().describe(self._name).state.may_change:
            time.sleep(self.interval)
        if self._killed:
            raise TaskEnded("a user ended this task; its job was stopped", where=self._name)
        return self._advance(context) if method_name == "advance" else self._finish(context)

    def _wait_for_stop(self, context: Context, record: JobRecord, view: JobView) -> dict[str, Any]:
        record = replace(record, deadline=time.time() + _LONGEST_STOP_SECONDS)
        return self._wait(context, record, "advance", view)

    def _timed_out(self, view: JobView) -> NexusError:
        hours = self.spec.limit_seconds / 3600
        return JobTimedOut(
            f"the job was not done within {hours:.1f} h and was stopped",
            where=self._name,
            got=view.reason,
            remedy="read the job's log; raise the limit in the settings or params, then clear this task",
        )

    # ---- helpers ----------------------------------------------------------
    @property
    def spec(self) -> JobSpec:
        """The record of the job, validated."""
        return from_plain(self.spec_type, self.job, where=f"the job of task {self.task_id}")

    @property
    def _scope(self) -> str:
        return str(self.scope or self.spec.scope)

    @property
    def interval(self) -> float:
        """See WaitingOperator."""
        return self.poll_interval_seconds or super().interval

    @property
    def waits_in_triggerer(self) -> bool:
        """See WaitingOperator."""
        return self.deferrable

    def _record(self, context: Context) -> JobRecord:
        """Return the task's record, or a new one for its first try or in another cluster."""
        stored = JobRecord.from_store(context["task_state_store"].get(_STORE_KEY))
        if stored is not None and stored.scope == self._scope:
            return stored
        return JobRecord(1, self._scope, _attempt(context), Phase.WORKER, request_hash(self.job))

    def _remember(self, context: Context, record: JobRecord) -> None:
        context["task_state_store"].set(_STORE_KEY, record.to_store(), retention=NEVER_EXPIRE)

    def _push_links(self, context: Context, view: JobView) -> None:
        links = job_links(load_settings(), self.spec.kind, self._name, self._scope, view)
        for key, value in ({"job_name": self._name} | links).items():
            context["ti"].xcom_push(key=key, value=value)

    def _identity(self, context: Context) -> JobIdentity:
        return job_identity(context["ti"])

    def _jobs(self) -> Jobs:
        return jobs_of(self.spec.kind, self._scope)


#: For each cause of an end: the error, its message, and the remedy.
_ENDS: dict[EndedBy, tuple[type[NexusError], str, str]] = {
    EndedBy.ITSELF: (JobFailed, "the job failed", "read the job's log; a retry or clear starts it again"),
    EndedBy.LIMIT: (JobTimedOut, "the job reached its limit", "raise the limit, then clear this task"),
    EndedBy.PERSON: (
        JobCancelled,
        "the job was cancelled outside of Airflow",
        "clear this task to start the job again",
    ),
    EndedBy.ENGINE: (EngineEnded, "the cluster of the job ended", "start the engine again, with Downstream"),
    EndedBy.CAPACITY: (JobFailed, "the service has no capacity", "clear this task to try again"),
}


def _attempt(context: Context) -> Attempt:
    run, ti = context["dag_run"], context["ti"]
    return Attempt(clear_number=run.clear_number or 0, max_tries=ti.max_tries)
