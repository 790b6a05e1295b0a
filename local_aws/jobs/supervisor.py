"""The supervisor adopts the jobs of an earlier process, runs jobs in threads and ends them on stop."""

from __future__ import annotations

import hashlib
import logging
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from os import kill
from pathlib import Path
from typing import Protocol

from local_aws.jobs.identities import Identities
from local_aws.jobs.processes import kill_marked, marked
from local_aws.resources import ResourceTable

log = logging.getLogger(__name__)
TICK_SECONDS = 0.1
_STOP_GRACE_SECONDS = 2.0


def root_marker(root: Path) -> str:
    """Return the prefix of the markers of all processes that are started for this root folder."""
    return hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:12] + ":"


class Stopping(Exception):
    """Raised inside job threads when local_aws stops."""


class Executor(Protocol):
    """A service that runs jobs."""

    def adopt(self) -> None:
        """Adopt the rows of an earlier process: resume jobs that still run, and fail those that do not."""

    def tick(self) -> None:
        """Do the periodic work. The supervisor calls this about ten times a second from one thread."""

    def stop(self) -> None:
        """Prepare for the end. The supervisor calls this once, before it ends the processes."""


class Supervisor:
    """The owner of the resource table, the job threads and the processes of one root folder."""

    def __init__(self, table: ResourceTable, root: Path) -> None:
        self.table = table
        self.identities = Identities(table)
        self.executors: list[Executor] = []
        self.stopping = threading.Event()
        self.marker = root_marker(root)
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()

    def start(self) -> None:
        """End processes that are in no row, let the executors adopt their rows, then start to tick."""
        # a crash after the start of a process and before its entry in the table leaves it without an owner
        kill_marked(self.marker, keep=self.table.markers())
        for executor in self.executors:
            executor.adopt()
        self.run("supervisor", self._tick)

    def stop(self) -> None:
        """End every job thread and process. Return when none is left."""
        self.stopping.set()
        for executor in self.executors:
            executor.stop()
        for pid in marked(self.marker):
            with suppress(ProcessLookupError):
                kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_GRACE_SECONDS
        while marked(self.marker) and time.monotonic() < deadline:
            time.sleep(0.02)
        kill_marked(self.marker)
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(timeout=10)
        self.table.close()

    def run(self, name: str, work: Callable[[], None]) -> None:
        """Run ``work`` in a new thread until it returns."""

        def body() -> None:
            try:
                work()
            except Stopping:
                pass
            except Exception:
                if not self.stopping.is_set():
                    log.exception("%s ended by an error", name)
            finally:
                with self._lock:
                    self._threads.discard(thread)

        thread = threading.Thread(target=body, name=name, daemon=True)
        with self._lock:
            self._threads.add(thread)
        thread.start()

    def run_job(
        self, kind: str, name: str, work: Callable[[str], None], failed: Callable[[str, str], None]
    ) -> None:
        """Run ``work(name)`` in a new thread.

        On an error, the processes of the job are killed and ``failed(name, error)`` is called, so that the
        job always has a final state in the table.
        """

        def body() -> None:
            try:
                work(name)
            except Stopping:
                raise
            except Exception as error:
                log.exception("%s %s", kind, name)
                self.kill_job(kind, name)
                failed(name, f"{type(error).__name__}: {error}")

        self.run(f"{kind} {name}", body)

    def kill_job(self, kind: str, name: str) -> None:
        """Kill all processes of a job, of every generation."""
        kill_marked(f"{self.marker}{kind}/{name}/")

    def pause(self, seconds: float = TICK_SECONDS) -> None:
        """Wait. Raises Stopping as soon as local_aws stops."""
        if self.stopping.wait(seconds):
            raise Stopping

    def job_marker(self, kind: str, name: str, generation: int, member: str = "") -> str:
        """Return the marker of one generation of a job, which its processes have in their environment."""
        return f"{self.marker}{kind}/{name}/{generation}/{member}"

    def _tick(self) -> None:
        while True:
            self.pause()
            for executor in self.executors:
                try:
                    executor.tick()
                except Exception:
                    if self.stopping.is_set():
                        raise Stopping from None
                    log.exception("%s", type(executor).__name__)
