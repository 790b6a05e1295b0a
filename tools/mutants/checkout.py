"""A git worktree in which modules are broken and tests run, so that the user's files are never touched."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

#: Every process of a test run carries this variable, so that what outlives the run can be found and ended.
_MARK = "NEXUS_MUTANTS_RUN"
_SUMMARY = "short test summary info"
_FAILED = re.compile(r"^(?:FAILED|ERROR) (tests/.+?)(?: - .*)?$", re.M)
#: The test that was running when the run was ended, in the last line of a verbose output.
_RUNNING = re.compile(r"^(tests/\S+?\.py::.+?) *$")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class TestRun:
    """The outcome of one run of pytest."""

    code: int | None  # pytest's exit code; None: the run or one of its tests took too long and was ended
    failed: tuple[str, ...]  # the tests that failed, or the one that took too long
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

    def test(
        self, targets: Sequence[str], seconds: float, options: str = "", silence: float = 200
    ) -> TestRun:
        """Run tests by test.sh until the first fails. ``targets`` are paths below one folder of ``tests/``.

        The run is ended after ``seconds``, or when no test has ended for ``silence`` seconds: a compiled loop
        without an end does not obey pytest-timeout.
        """
        started, mark = time.monotonic(), uuid.uuid4().hex
        # test.sh takes one path of a suite. pytest runs the paths of its options first.
        options = " ".join([*(f"tests/{target}" for target in targets[:-1]), options])
        with self._numba_cache() as cache, TemporaryFile("w+", errors="replace") as file:
            process = subprocess.Popen(
                ["bash", "infrastructure/setup/test.sh", str(self.folder / ".venvs"), targets[-1]],
                cwd=self.folder,
                env=self._environment(mark, options, cache),
                stdout=file,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
            self._group = process.pid
            try:
                silent = self._wait(process, file.fileno(), started + seconds, silence)
            finally:
                self._group = 0
                if process.poll() is None:
                    _end(process.pid)
                    process.wait()
                end_marked(mark)
            file.seek(0)
            output = _COLOUR.sub("", file.read())
        if self._stopped:
            raise Stopped
        spent = time.monotonic() - started
        if silent is not None:
            running = _RUNNING.match(output.rpartition("\n")[2]) if silent else None
            return TestRun(None, (running[1],) if running else (), spent, output)
        failed = _FAILED.findall(output.rpartition(_SUMMARY)[2])
        return TestRun(_pytest_code(output, process.returncode), tuple(failed), spent, output)

    def _wait(
        self, process: subprocess.Popen[bytes], output: int, deadline: float, silence: float
    ) -> bool | None:
        """Wait for a process. Return None if it ended, True after a long silence, False at the deadline."""
        size, grown = 0, time.monotonic()
        while not self._stopped:
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.2)
                return None
            now = time.monotonic()
            if (current := os.fstat(output).st_size) != size:
                size, grown = current, now
            if now >= deadline:
                return False
            if now >= grown + silence:
                return True
        return None

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
        """Yield the folder of compiled kernels. It is a temporary one for a broken module.

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
            "PYTEST_ADDOPTS": f"-x -v --tb=short {options}".strip(),
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
    """End every process with the mark: servers and JVMs that tests started in separate sessions."""
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
