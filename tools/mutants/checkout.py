"""A git worktree in which modules are broken and tests run, so that the user's files are never touched."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

#: Every process of a test run carries this variable, so that what outlives the run can be found and ended.
_MARK = "NEXUS_MUTANTS_RUN"
_SUMMARY = "short test summary info"
_FAILED = re.compile(r"^(?:FAILED|ERROR) (tests/.+?)(?: - .*)?$", re.M)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class TestRun:
    """The outcome of one run of pytest."""

    code: int | None  # pytest's exit code; None: the run took longer than allowed and was ended
    failed: tuple[str, ...]
    seconds: float
    output: str

    @property
    def passed(self) -> bool:
        """True if the tests ran and none failed, or if there were none to run."""
        return self.code in (0, 5)


class Stopped(Exception):
    """The run of mutation testing was interrupted."""


class Checkout:
    """One worktree of a commit, below ``build/mutants``."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root = root
        self.folder = folder
        self._stopped = False
        self._group = 0

    def stop(self) -> None:
        """End the running tests, from another thread. The call of `test` raises Stopped."""
        self._stopped = True
        if self._group:
            _end(self._group)

    def test(self, target: str, seconds: float, options: str = "") -> TestRun:
        """Run the tests of ``target`` (a path below ``tests/``) until the first fails, by test.sh."""
        started, mark = time.monotonic(), uuid.uuid4().hex
        with self._numba_cache() as cache:
            process = subprocess.Popen(
                ["bash", "infrastructure/setup/test.sh", str(self.folder / ".venvs"), target],
                cwd=self.folder,
                env=self._environment(mark, options, cache),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                text=True,
                errors="replace",
                start_new_session=True,
            )
            self._group = process.pid
            try:
                if self._stopped:
                    raise Stopped
                output, _ = process.communicate(timeout=seconds)
                code: int | None = _pytest_code(output, process.returncode)
            except subprocess.TimeoutExpired:
                code = None
                _end(process.pid)
                output, _ = process.communicate()
            finally:
                self._group = 0
                if process.poll() is None:
                    _end(process.pid)
                end_marked(mark)
        if self._stopped:
            raise Stopped
        output = _COLOUR.sub("", output)
        failed = _FAILED.findall(output.rpartition(_SUMMARY)[2])
        return TestRun(code, tuple(failed), time.monotonic() - started, output)

    @contextmanager
    def broken(self, module: str, source: str) -> Iterator[None]:
        """Replace a module's source for the duration of a block."""
        path = self.folder / module
        original = path.read_text()
        path.write_text(source)
        try:
            yield
        finally:
            path.write_text(original)

    @contextmanager
    def _numba_cache(self) -> Iterator[str]:
        """Yield the folder of compiled kernels: an own one while a kernel's module is broken.

        Kernels are cached by the content of all kernel modules, so every mutant would leave a folder.
        """
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--", "spark_jobs"],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=True,
        )
        if not changed.stdout.strip():
            yield os.environ.get("NUMBA_CACHE_DIR", "")
            return
        folder = self.folder.parent / f"numba-{self.folder.name}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            yield str(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _environment(self, mark: str, options: str, cache: str) -> dict[str, str]:
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("NEXUS_", "PYTEST_", "VIRTUAL_ENV"))
        }
        tools = self.folder / ".venvs/tools/bin"
        environment |= {
            _MARK: mark,
            "NEXUS_ROOT": str(self.folder),
            "PYTHONPATH": f"{self.folder}:{self.folder / 'plugins'}",
            "PATH": f"{tools}:{environment.get('PATH', os.defpath)}",
            # Bytecode is found by a source's size and second: it would hide a mutation of the same length.
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTEST_ADDOPTS": f"-x -q --tb=short {options}".strip(),
        }
        if cache:
            environment["NUMBA_CACHE_DIR"] = cache
        return environment


@contextmanager
def checkout(root: Path, name: str, commit: str = "HEAD") -> Iterator[Checkout]:
    """Make a worktree of ``commit`` below ``build/mutants``, and remove it at the end."""
    folder = root / "build" / "mutants" / name
    _remove(root, folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _git(root, "worktree", "add", "--quiet", "--detach", str(folder), commit)
    try:
        if not (folder / ".venvs").exists():
            (folder / ".venvs").symlink_to((root / ".venvs").resolve())
        yield Checkout(root, folder)
    finally:
        _remove(root, folder)


def end_marked(mark: str) -> None:
    """End every process with the mark: servers and JVMs that tests started in sessions of their own."""
    wanted = f"{_MARK}={mark}".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    os.kill(int(entry.name), signal.SIGKILL)


def _end(group: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _pytest_code(output: str, code: int) -> int:
    """Return pytest's own exit code; test.sh gives 1 for every failed suite and prints the code."""
    named = re.search(r"FAILED \((\d+)\)", output)
    return int(named[1]) if named else code


def _remove(root: Path, folder: Path) -> None:
    if folder.exists():
        if (folder / ".venvs").is_symlink():
            (folder / ".venvs").unlink()
        _git(root, "worktree", "remove", "--force", str(folder), check=False)
        shutil.rmtree(folder, ignore_errors=True)
    _git(root, "worktree", "prune")


def _git(root: Path, *arguments: str, check: bool = True) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise RuntimeError(f"git {' '.join(arguments)} failed in {root}: {done.stderr.strip()}")
    return done.stdout
