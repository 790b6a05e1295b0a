"""The life of job runs: what waits is started, what runs is awaited, stopped or timed out, what ended stays.

EMR Serverless and Glue differ in the names of states, in what is run and in where logs go (``RunService``);
who survives what is the same for both and stands here.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from local_aws.jobs.processes import Exit, JobProcess
from local_aws.jobs.supervisor import Stopping, Supervisor
from local_aws.jobs.table import Job
from local_aws.settings import Settings
from local_aws.spark.process import SparkProcesses

log = logging.getLogger(__name__)
_TIMED_OUT = "timed out"


@dataclass(frozen=True)
class RunStates:
    """A service's names. A run goes through ``waiting`` in this order, one a tick, before it runs."""

    waiting: tuple[str, ...]
    running: str
    stopping: str
    stopped: str
    succeeded: str
    failed: str
    timed_out: str

    @property
    def active(self) -> tuple[str, ...]:
        """States that will change by themselves."""
        return (*self.waiting, self.running, self.stopping)


class RunService(Protocol):
    """What a service says of its runs. ``kind`` is the row's kind in the job table."""

    kind: str
    states: RunStates

    def may_start(self, run: Job) -> bool:
        """Whether a run that waited its turn may begin now."""

    def arguments(self, run: Job) -> list[str]:
        """The command line, from ``spark-submit`` on."""

    def role(self, run: Job) -> str:
        """Return the ARN of the role that the run was given."""

    def timeout_seconds(self, run: Job) -> float:
        """How long it may run; infinity for ever."""

    def started(self, run: Job) -> None:
        """Its output files exist from now on."""

    def ended(self, run: Job) -> None:
        """Its output is whole; the final state is not shown before this returns."""


class JobRuns:
    """The executor of one service's runs."""

    def __init__(
        self, service: RunService, settings: Settings, supervisor: Supervisor, processes: SparkProcesses
    ) -> None:
        self._service = service
        self._now = settings.control.now  # limits follow the clock that tests may move
        self._supervisor = supervisor
        self._table = supervisor.table
        self._processes = processes

    def adopt(self) -> None:
        """Wait for runs that still go on; one that was about to start waits again."""
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
        """The threads end by themselves."""

    def tick(self) -> None:
        """Move every run that waits."""
        states = self._service.states
        for run in self._table.list(self._service.kind):
            if run.state not in states.waiting:
                continue
            place = states.waiting.index(run.state)
            is_last = place == len(states.waiting) - 1
            if is_last and not self._service.may_start(run):
                continue
            with self._table.editing(run.kind, run.name) as row:
                if row.state != run.state:
                    continue
                row.state = states.running if is_last else states.waiting[place + 1]
                if is_last:
                    row.detail |= {"started": time.time(), "limited_from": self._now()}
            if is_last:
                self._begin(run.name, self._run)

    def request_stop(self, name: str) -> bool:
        """Ask a run to end; False when it is over already."""
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
        process.kill()  # whatever spark-submit left behind
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

    def _row(self, name: str) -> Job:
        run = self._table.get(self._service.kind, name)
        assert run is not None
        return run
