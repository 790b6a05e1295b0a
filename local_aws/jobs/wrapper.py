"""The parent process of a job: mount, start, forward SIGTERM, wait, and write the exit status.

It runs as a file (``python -I wrapper.py spec.json``) and needs only the standard library, so that it
outlives the server. When the first process of the job ends, all its other processes are ended too, as in a
container.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

MARKER = "LOCAL_AWS_JOB"
_PR_SET_CHILD_SUBREAPER = 36
_MS_BIND, _MS_REC, _MS_PRIVATE = 4096, 16384, 1 << 18
_libc = ctypes.CDLL(None, use_errno=True)


def main(spec_path: str) -> int:
    """Run the job of ``spec.json`` and write its exit status to ``exit.json`` in the same folder."""
    folder = Path(spec_path).parent
    spec: dict[str, Any] = json.loads(Path(spec_path).read_text())
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    environment: dict[str, str] = spec["environment"]
    if spec["mounts"] and (problem := _mount(spec["mounts"], folder)):
        environment |= spec["without_mounts"]
        _write(folder / "mounts.txt", problem)

    child: subprocess.Popen[bytes] | None = None
    asked_to_end = False

    def forward(number: int, frame: FrameType | None) -> None:
        nonlocal asked_to_end
        asked_to_end = True
        if child is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGTERM)

    signal.signal(signal.SIGTERM, forward)
    try:
        child = subprocess.Popen(spec["argv"], env=environment, cwd=spec["directory"])
    except OSError as error:
        print(f"cannot start {spec['argv'][0]}: {error.strerror}", file=sys.stderr)
        _write(folder / "exit.json", json.dumps({"code": 127, "signal": 0, "ended": time.time()}))
        return 0
    if asked_to_end:
        child.terminate()
    code = child.wait()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _end_leftovers(environment[MARKER])
    number = -code if code < 0 else 0
    result = {"code": 128 + number if number else code, "signal": number, "ended": time.time()}
    _write(folder / "exit.json", json.dumps(result))
    return 0


def _mount(mounts: list[list[str]], folder: Path) -> str:
    """Bind each (source, target) in a private mount namespace. Return the error, or '' on success.

    All targets are under one top folder (/opt). A staging folder with the same entries and the targets is
    mounted over it, so the targets need not exist and the machine's own /opt does not change.
    """
    try:
        top = "/" + mounts[0][1].strip("/").split("/")[0]
        uid, gid = os.getuid(), os.getgid()
        os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNS)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1\n")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1\n")
        _call_mount("none", "/", _MS_REC | _MS_PRIVATE)
        staging = folder / "staging"
        staging.mkdir(exist_ok=True)
        taken = {target.strip("/").split("/")[1] for _, target in mounts}
        for entry in Path(top).iterdir() if Path(top).is_dir() else ():
            mount_point = staging / entry.name
            if entry.name in taken:
                continue
            if entry.is_symlink():
                if not mount_point.is_symlink():
                    mount_point.symlink_to(entry.readlink())
                continue
            mount_point.mkdir(exist_ok=True) if entry.is_dir() else mount_point.touch()
            _call_mount(str(entry), str(mount_point), _MS_BIND | _MS_REC)
        for source, target in mounts:
            mount_point = staging / Path(target).relative_to(top)
            mount_point.mkdir(parents=True, exist_ok=True)
            _call_mount(source, str(mount_point), _MS_BIND | _MS_REC)
        _call_mount(str(staging), top, _MS_BIND | _MS_REC)
    except OSError as error:
        return str(error)
    return ""


def _call_mount(source: str, target: str, flags: int) -> None:
    if _libc.mount(source.encode(), target.encode(), None, ctypes.c_ulong(flags), None) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"mount {source} on {target}: {os.strerror(number)}")


def _end_leftovers(marker: str) -> None:
    wanted = f"{MARKER}={marker}\0".encode()
    while True:
        found = False
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            with contextlib.suppress(OSError):
                if wanted in (entry / "environ").read_bytes() + b"\0":
                    os.kill(int(entry.name), signal.SIGKILL)
                    found = True
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not found:
            return
        time.sleep(0.01)  # the kernel removes a killed process with a delay


def _write(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
    part.write_text(text)
    part.replace(path)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
