"""The life cycle of job runs: start them, wait for them, stop them, and end them at their time limit.

EMR Serverless and Glue differ in the names of states, the command and the location of logs (``RunService``).
They share the life cycle and the behaviour at a restart.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from local_aws.jobs.processes import Exit, JobProcess
from local_aws.jobs.supervisor import Stopping, Supervisor
from local_aws.resources import Resource
from local_aws.settings import LocalAwsSettings
from local_aws.spark.process import SparkProcesses

log = logging.getLogger(__name__)
_TIMED_OUT = "timed out"


@dataclass(frozen=True)
class RunStates:
    """The names of a service for its states. A run has each of ``waiting`` for one tick before it runs."""

    waiting: tuple[str, ...]
    running: str
    stopping: str
    stopped: str
    succeeded: str
    failed: str
    timed_out: str

    @property
    def active(self) -> tuple[str, ...]:
        """The states that are not final."""
        return (*self.waiting, self.running, self.stopping)


class RunService(Protocol):
    """The rules of a service for its runs. ``kind`` is the kind of their rows in the resource table."""

    kind: str
    states: RunStates

    def may_start(self, run: Resource) -> bool:
        """Return True if a waiting run may start now."""

    def arguments(self, run: Resource) -> list[str]:
        """Return the command line, which begins with ``spark-submit``."""

    def role(self, run: Resource) -> str:
        """Return the ARN of the role of the run."""

    def timeout_seconds(self, run: Resource) -> float:
        """Return the time limit of the run; infinity if it has none."""

    def started(self, run: Resource) -> None:
        """Handle the start of a run, when its output files exist."""

    def ended(self, run: Resource) -> None:
        """Handle the end of a run, when its output is complete.

        The run gets its final state after this returns.
        """


class JobRuns:
    """The executor of one service's runs."""

    def __init__(
        self,
        service: RunService,
        settings: LocalAwsSettings,
        supervisor: Supervisor,
        processes: SparkProcesses,
    ) -> None:
        self._service = service
        self._now = settings.control.now  # limits follow the clock that tests may move
        self._supervisor = supervisor
        self._table = supervisor.table
        self._processes = processes

    def adopt(self) -> None:
        """Wait for runs that still run, and queue those again that had not started yet."""
        states = self._service.states
        for run in self._table.list(self._service.kind):
            if run.state not in (states.running, states.stopping):
                continue
            if run.processes:
                self._begin(run.name, self._follow)
            else:
                with self._table.editing(run.kind, run.name) as row:
                    row.state = states.waiting[-1] if run.state == states.running else states.stopped

    def stop(self) -> None:
        """Do nothing, because the threads end by themselves."""

    def tick(self) -> None:
        """Advance every waiting run."""
        states = self._service.states
        for run in self._table.list(self._service.kind):
            if run.state not in states.waiting:
                continue
            position = states.waiting.index(run.state)
            is_last = position == len(states.waiting) - 1
            if is_last and not self._service.may_start(run):
                continue
            with self._table.editing(run.kind, run.name) as row:
                if row.state != run.state:
                    continue
                row.state = states.running if is_last else states.waiting[position + 1]
                if is_last:
                    row.detail |= {"started": time.time(), "limited_from": self._now()}
            if is_last:
                self._begin(run.name, self._run)

    def request_stop(self, name: str) -> bool:
        """Ask a run to end. Return False if it has already ended."""
        states = self._service.states
        with self._table.editing(self._service.kind, name) as row:
            if row.state in states.waiting:
                row.state = states.stopped
                row.detail["ended"] = time.time()
            elif row.state in (states.running, states.stopping):
                row.state = states.stopping
            else:
                return False
        return True

    def _begin(self, name: str, work: Callable[[str], None]) -> None:
        self._supervisor.run_job(self._service.kind, name, work, self._fail)

    def _run(self, name: str) -> None:
        run = self._row(name)
        service = self._service
        process = self._processes.start(name, service.arguments(run), run.generation, service.role(run))
        with self._table.editing(self._service.kind, name) as row:
            row.processes = [process.row()]
        self._follow(name)

    def _follow(self, name: str) -> None:
        run, states = self._row(name), self._service.states
        process = JobProcess.load(run.processes[0])
        self._service.started(run)
        try:
            end = self._processes.wait(process, lambda: self._unwanted(name))
            if isinstance(end, str):
                self._processes.end(process)
        except Stopping:
            process.kill()
            self._fail(name, "local_aws was stopped while the job ran")
            raise
        process.kill()  # spark-submit may leave child processes
        self._service.ended(self._row(name))
        if isinstance(end, Exit):
            what, words = self._processes.reason(name, end)
            state = states.succeeded if end.code == 0 else states.failed
            self._finish(name, state, "" if end.code == 0 else f"The job's process {what}. {words}")
        elif end == _TIMED_OUT:
            seconds = self._service.timeout_seconds(run)
            self._finish(name, states.timed_out, f"The job ran longer than its limit of {seconds:.0f} s")
        else:
            self._finish(name, states.stopped, "Stopped by a user")
        self._processes.tidy(name)

    def _unwanted(self, name: str) -> str:
        run = self._row(name)
        if run.state == self._service.states.stopping:
            return "stopped"
        seconds = self._now() - float(run.detail["limited_from"])
        return _TIMED_OUT if seconds > self._service.timeout_seconds(run) else ""

    def _fail(self, name: str, reason: str) -> None:
        self._finish(name, self._service.states.failed, reason)

    def _finish(self, name: str, state: str, reason: str) -> None:
        with self._table.editing(self._service.kind, name) as row:
            row.state = state
            row.processes = []
            row.detail |= {"ended": time.time(), "reason": reason}

    def _row(self, name: str) -> Resource:
        run = self._table.get(self._service.kind, name)
        assert run is not None
        return run
