"""The operator that runs one AWS job per task. The job is named by the task's identity and a generation.

There are never two jobs at once. A retry, also after the loss of a worker, attaches to the job again, or
reports its end. A clear or a changed request stops the job and starts the next generation. Mark-failed stops
the job in every state of the task: deferred (``on_kill`` of the trigger), or not
(``nexus_airflow.listeners.jobs``). The shutdown of a worker stops no job.
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
from nexus_airflow.errors import JobFailed, TaskEnded, WorkerStopped
from nexus_airflow.identity import ended_state, job_identity
from nexus_airflow.job_ends import job_failure, job_timeout
from nexus_airflow.job_log import last_lines
from nexus_airflow.lifecycle import Action, Attempt, JobRecord, Phase, Situation, decide, is_for, was_cleared
from nexus_airflow.links.aws import JobLink, JobLogsLink, job_links
from nexus_airflow.operators.waiting import WaitingOperator
from nexus_airflow.triggers.job import JobTrigger

_STORE_KEY = "job"
#: The longest wait for the end of a job that is being stopped, before it is looked at again.
_LONGEST_STOP_SECONDS = 3600.0
#: A task that waits on its worker has seconds to end after a signal, and a sleep outlasts a signal.
_NAP_SECONDS = 0.5


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
        return job_failure(self._name, view)

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
        """Record the signal: a user ended the task on a worker, or the worker is shut down.

        The job is not stopped here, because a signal handler cannot ask Airflow which of them it was. The
        next step of the try asks.
        """
        self._killed = True

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
            now = self._situation(record if generation == record.generation else None, view, request_sha256)
            may_reuse = (view.state is JobState.COMPLETED and now.same_request) or self.takes_earlier_output()
            output = self.verified_output(context) if may_reuse else None
            action = decide(replace(now, cleared=cleared, verified=output is not None))
            self.log.info("job %s is %s: %s", self._name, view.state.value, action.value)
            if action is not Action.ADVANCE:
                break
            self._lacked_capacity = view.ended_by is EndedBy.CAPACITY
        record = replace(record, generation=generation, attempt=attempt, request_sha256=request_sha256)
        if action is Action.SUBMIT:
            return self._submit(context, record)
        if action is Action.REPORT:
            return self._finish(context)
        self.found_room(context)
        if action is Action.REUSE and output is not None:
            self._remember(context, replace(record, phase=Phase.DONE))
            return self.result(output, view)
        if action is Action.STOP_AND_ADVANCE:
            record = self._settle(context, record)
            self._jobs().stop(self._name)
            return self._wait_for_stop(context, record, view)
        return self._wait(context, record, "finish", view)

    def _situation(self, record: JobRecord | None, view: JobView, request_sha256: str) -> Situation:
        """Return the facts about one generation. ``record`` is the task's record if it is about this one."""
        force = self.spec.force
        if view.state is not JobState.ABSENT:
            same = is_for(view, request_sha256)
        else:
            same = record is not None and record.request_sha256 == request_sha256
        if record is None:
            return Situation(view.state, same_request=same, force=force)
        # the worker may have been lost between the submission and its record
        was_started = record.deadline > 0 and view.state is not JobState.ABSENT
        return Situation(view.state, same, record.is_submitted or was_started, record.is_settled, force=force)

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
            if time.time() < record.deadline:  # the trigger stopped polling, but the job may still run
                return self._wait(context, record, "finish", view)
            self._settle(context, record)
            self._jobs().stop(self._name)
            raise job_timeout(self._name, view, self.spec.limit_seconds)
        self.log.info("the last lines of the job's log:\n%s", last_lines(self.spec.kind, view))
        if view.ended_by is EndedBy.CAPACITY:
            self._settle(context, record)
            resumed: dict[str, Any] = self.wait_for_room(context, capacity_refusal(view.reason))
            return resumed
        if view.state is not JobState.COMPLETED:
            error = self.failure(view)  # before the record, because reading the job's error may fail
            self._settle(context, record)
            raise error
        output = self.verified_output(context)
        if output is None:
            self._settle(context, record)
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
        record = replace(record, phase=Phase.WORKER, is_submitted=False, is_settled=False, deadline=0.0)
        view = self._jobs().describe(self._name)
        self._push_links(context, view)  # also for a job that cannot be submitted
        if view.state is not JobState.ABSENT:  # of a run that was deleted together with its record
            self._remember(context, record)
            return self.begin(context)
        # recorded before the start: after an interruption in between, the next try finds the name and no job
        record = replace(record, deadline=time.time() + self.spec.limit_seconds)
        self._remember(context, record)
        self.prepare(context)
        self._jobs().submit(self._name, self.spec.request, record.request_sha256)
        self.log.info("submitted %s", self._name)
        record = replace(record, is_submitted=True)
        self._stop_unwanted(context, record)
        if not self._lacked_capacity:  # an accepted job may still fail for the same lack of capacity
            self.found_room(context)
        return self._wait(context, record, "finish", self._jobs().describe(self._name))

    def _stop_unwanted(self, context: Context, record: JobRecord) -> None:
        """Stop the job if a user ended the task. Mark-failed finds no job while it is being submitted."""
        if state := ended_state(context["ti"], self._killed):
            self._settle(context, record)
            self._jobs().stop(self._name)
            raise TaskEnded("a user ended this task; its job was stopped", where=self._name, got=state)

    def _wait(self, context: Context, record: JobRecord, method_name: str, view: JobView) -> dict[str, Any]:
        self._push_links(context, view)
        if self._killed:
            self._stop_unwanted(context, record)
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
            end = time.monotonic() + self.interval
            while not self._killed and (left := end - time.monotonic()) > 0:
                time.sleep(min(left, _NAP_SECONDS))
            if self._killed:
                self._stop_unwanted(context, record)
                raise WorkerStopped("the worker is shut down; the job goes on", where=self._name)
        return self._advance(context) if method_name == "advance" else self._finish(context)

    def _wait_for_stop(self, context: Context, record: JobRecord, view: JobView) -> dict[str, Any]:
        record = replace(record, deadline=time.time() + _LONGEST_STOP_SECONDS)
        return self._wait(context, record, "advance", view)

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

    def _settle(self, context: Context, record: JobRecord) -> JobRecord:
        """Record that the end of this generation needs no report."""
        record = replace(record, is_settled=True)
        self._remember(context, record)
        return record

    def _push_links(self, context: Context, view: JobView) -> None:
        links = job_links(load_settings(), self.spec.kind, self._name, self._scope, view)
        for key, value in ({"job_name": self._name} | links).items():
            context["ti"].xcom_push(key=key, value=value)

    def _identity(self, context: Context) -> JobIdentity:
        return job_identity(context["ti"])

    def _jobs(self) -> Jobs:
        return jobs_of(self.spec.kind, self._scope)


def _attempt(context: Context) -> Attempt:
    run, ti = context["dag_run"], context["ti"]
    return Attempt(clear_number=run.clear_number or 0, max_tries=ti.max_tries)
