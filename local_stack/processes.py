"""Start and stop processes that outlive the command that started them.

Each process leads its own group and is recorded on disk. A record holds the kernel's start time with
the pid, so that another program that was given the same pid is never signalled.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from include.contracts.errors import NexusError
from local_aws.interruption import uninterrupted

_GRACE_SECONDS = 20.0


class ProcessFailed(NexusError):
    """A process of the local system ended or never became ready."""


@dataclass(frozen=True)
class ProcessRecord:
    """One process; ``started`` is its start time in clock ticks since boot (/proc/<pid>/stat, field 22)."""

    name: str
    pid: int
    started: int
    log: str

    @property
    def alive(self) -> bool:
        return start_ticks(self.pid) == self.started


class ProcessBook:
    """The processes of one local system, in ``<state>/processes.json``."""

    def __init__(self, state: Path) -> None:
        self._path = state / "processes.json"

    def records(self) -> list[ProcessRecord]:
        if not self._path.exists():
            return []
        return [ProcessRecord(**entry) for entry in json.loads(self._path.read_text())]

    def start(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path, folder: Path
    ) -> ProcessRecord:
        """Start ``command`` as leader of a new session and append its output to ``log``."""
        log.parent.mkdir(parents=True, exist_ok=True)
        # a process that is interrupted between its start and its record could not be stopped later
        with uninterrupted(), log.open("ab") as sink:
            child = subprocess.Popen(
                command,
                env=dict(environment),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            record = ProcessRecord(name, child.pid, start_ticks(child.pid) or 0, str(log))
            self._write([*self.records(), record])
        return record

    def stop_all(self) -> list[str]:
        """Stop every recorded group, youngest first, and return the names of those that were alive."""
        ended = []
        with uninterrupted():
            for record in reversed(records := self.records()):
                if record.alive:
                    ended.append(record.name)
                end_group(record)
            if records:
                self._write([])
        return ended

    def _write(self, records: list[ProcessRecord]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_suffix(".tmp")
        temporary.write_text(json.dumps([asdict(record) for record in records], indent=1))
        temporary.replace(self._path)


def end_group(record: ProcessRecord, grace_seconds: float = _GRACE_SECONDS) -> None:
    """Send SIGTERM to a group, and SIGKILL to what remains after the grace period.

    The leader may have ended before its children. As long as the session has members, the kernel does
    not give its number to another process.
    """
    if not record.alive and start_ticks(record.pid) is not None:
        return  # the pid now belongs to another program
    deadline = time.monotonic() + grace_seconds
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(record.pid, signal_number)
        except ProcessLookupError:
            return
        while time.monotonic() < deadline and _group_lives(record.pid):
            _reap(record.pid)
            time.sleep(0.05)
        deadline = time.monotonic() + 5.0


def start_ticks(pid: int) -> int | None:
    """Return the start time of a process in clock ticks since boot, or None if it is a zombie or gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else int(fields[19])


def _group_lives(group: int) -> bool:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[2]) == group and fields[0] != "Z":
                return True
    return False


def _reap(pid: int) -> None:
    with contextlib.suppress(
        ChildProcessError
    ):  # started by an earlier command, so not a child of this process
        os.waitpid(pid, os.WNOHANG)
