"""Starts, finds and ends job processes.

A process is identified by its pid *and* its start time, because the system reuses pids.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from local_aws.jobs import wrapper

OUTPUT = "output.log"
_VISIBLE_SECONDS = 5.0


@dataclass(frozen=True)
class Spec:
    """The command of a job, with its environment and mounts.

    ``mounts`` are pairs of a source and a target under /opt. If the system does not allow mount namespaces,
    the variables ``without_mounts`` pass the paths of the files to the job. ``marker`` identifies the job in
    the environment of all its processes, even of those that start a new session.
    """

    argv: list[str]
    environment: dict[str, str]
    directory: str
    marker: str
    mounts: list[tuple[str, str]] = field(default_factory=list)
    without_mounts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Exit:
    """The exit of a process; ``code`` is 128 + signal if a signal ended it, as in a shell."""

    code: int
    signal: int
    ended: float


@dataclass(frozen=True)
class JobProcess:
    """One running or ended job process; ``folder`` holds its output and exit status."""

    pid: int
    start_time: int
    folder: str
    marker: str

    @classmethod
    def start(cls, spec: Spec, folder: Path) -> JobProcess:
        """Start ``spec`` under a wrapper in a new session. Its output is appended to output.log."""
        folder.mkdir(parents=True, exist_ok=True)
        for stale in ("exit.json", "mounts.txt"):
            (folder / stale).unlink(missing_ok=True)
        content = asdict(spec)
        content["environment"] = {**spec.environment, wrapper.MARKER: spec.marker}
        path = folder / "spec.json"
        path.write_text(json.dumps(content))
        with (folder / OUTPUT).open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", wrapper.__file__, str(path)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={"PATH": spec.environment.get("PATH", os.defpath), wrapper.MARKER: spec.marker},
                start_new_session=True,
            )
        _wait_until_visible(process.pid, spec.marker)
        process.returncode = 0  # alive() reaps the process, because it also works for adopted processes
        start_time = _start_time(process.pid)
        return cls(process.pid, start_time or 0, str(folder), spec.marker)

    @classmethod
    def load(cls, row: dict[str, Any]) -> JobProcess:
        """Build the process from the form that ``row`` returns."""
        return cls(**row)

    def row(self) -> dict[str, Any]:
        """Return the plain form for the resource table."""
        return asdict(self)

    @property
    def output(self) -> Path:
        """The file of its stdout and stderr."""
        return Path(self.folder) / OUTPUT

    def alive(self) -> bool:
        """Return True if the process that was started still runs."""
        return _start_time(self.pid) == self.start_time

    def exit(self) -> Exit | None:
        """Return the exit, or None while the process runs. The code is -1 if it left no exit status."""
        was_alive = self.alive()
        try:
            return Exit(**json.loads((Path(self.folder) / "exit.json").read_text()))
        except FileNotFoundError:
            return None if was_alive else Exit(-1, 0, time.time())

    def terminate(self) -> None:
        """Send SIGTERM to the job's first process, as stopping a container does."""
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """Kill all processes of the job, and write exit status 137 if it left none."""
        kill_marked(self.marker)
        path = Path(self.folder) / "exit.json"
        if not path.exists():
            path.write_text(json.dumps(asdict(Exit(137, signal.SIGKILL, time.time()))))

    def last_lines(self, count: int = 20) -> str:
        """Return the last lines of its output, for failure reasons."""
        with contextlib.suppress(FileNotFoundError), self.output.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 16384))
            return "\n".join(file.read().decode("utf-8", "replace").splitlines()[-count:])
        return ""


def _wait_until_visible(pid: int, marker: str) -> None:
    """Wait until the marker of a new process can be read.

    The environment of a process becomes visible shortly after its start. Until then, a search by the marker
    would not find it.
    """
    wanted = f"{wrapper.MARKER}={marker}\0".encode()
    deadline = time.monotonic() + _VISIBLE_SECONDS
    while _start_time(pid) is not None and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if wanted in Path(f"/proc/{pid}/environ").read_bytes():
                return
        time.sleep(0.0005)


def kill_marked(prefix: str, keep: Collection[str] = ()) -> int:
    """Kill the processes that ``marked`` finds, and their sessions, until none is left. Return their number.

    The environment of a process is not visible while it starts, so its marker cannot be seen. It is in the
    session of the process that started it, so that session is killed too.
    """
    killed: set[int] = set()
    sessions: set[int] = set()
    while found := {*marked(prefix, keep), *_members(sessions)} - {os.getpid()}:
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                sessions.add(os.getsid(pid))
            sessions.discard(os.getsid(0))
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        killed |= found
        time.sleep(0.005)  # the kernel removes a killed process with a delay
    return len(killed)


def _members(sessions: Collection[int]) -> list[int]:
    """Return the pids of live processes in ``sessions``."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if sessions and entry.name.isdigit()]
    return [pid for pid in pids if (fields := _stat(pid)) and int(fields[3]) in sessions and _start_time(pid)]


def marked(prefix: str, keep: Collection[str] = ()) -> list[int]:
    """Return the pids of live processes whose job marker starts with ``prefix`` and is not in ``keep``."""
    wanted = b"\0" + f"{wrapper.MARKER}={prefix}".encode()
    kept = [b"\0" + f"{wrapper.MARKER}={marker}\0".encode() for marker in keep]
    pids = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                environment = b"\0" + (entry / "environ").read_bytes()
                ours = wanted in environment and not any(marker in environment for marker in kept)
                if ours and _start_time(int(entry.name)):
                    pids.append(int(entry.name))
    return pids


def _start_time(pid: int) -> int | None:
    """Return field 22 of /proc/<pid>/stat, or None if the process has ended.

    A zombie has ended; it is reaped if it is a child of this process.
    """
    fields = _stat(pid)
    if fields is None:
        return None
    if fields[0] in "ZX":
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        return None
    return int(fields[19])


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/<pid>/stat from the state on, None if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
