"""The supervisor: takes over what an earlier process left, runs jobs in threads, ends all on stop."""

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
from local_aws.jobs.table import JobTable

log = logging.getLogger(__name__)
TICK_SECONDS = 0.1
_STOP_GRACE_SECONDS = 2.0


def root_marker(root: Path) -> str:
    """How the markers of all processes begin that are started for this root folder."""
    return hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:12] + ":"


class Stopping(Exception):
    """Raised inside job threads when local_aws stops."""


class Executor(Protocol):
    """A service that runs things."""

    def adopt(self) -> None:
        """Take over the rows of an earlier process: go on with what lives, fail what does not."""

    def tick(self) -> None:
        """Called about ten times a second from one thread."""

    def stop(self) -> None:
        """Called once, before the processes are ended."""


class Supervisor:
    """Owns the job table, the job threads and the processes of one root folder."""

    def __init__(self, table: JobTable, root: Path) -> None:
        self.table = table
        self.identities = Identities(table)
        self.executors: list[Executor] = []
        self.stopping = threading.Event()
        self.marker = root_marker(root)
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()

    def start(self) -> None:
        """End what no row knows, adopt, then begin to tick."""
        # a crash between the start of a process and its note in the table leaves one that nobody waits for
        kill_marked(self.marker, keep=self.table.markers())
        for executor in self.executors:
            executor.adopt()
        self.run("supervisor", self._tick)

    def stop(self) -> None:
        """End every job thread and process; returns when none is left."""
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
        """Run ``work`` in a thread of its own until it returns."""

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
        """``work(name)`` in a thread; an error ends the job's processes and goes to ``failed(name, error)``.

        So every way out leaves a final state in the table.
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
        """SIGKILL to all processes of a job, whatever its generation."""
        kill_marked(f"{self.marker}{kind}/{name}/")

    def pause(self, seconds: float = TICK_SECONDS) -> None:
        """Wait, or raise Stopping as soon as local_aws stops."""
        if self.stopping.wait(seconds):
            raise Stopping

    def job_marker(self, kind: str, name: str, generation: int, member: str = "") -> str:
        """What the processes of one job (and one generation of it) carry in their environment."""
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
