from __future__ import annotations

import os
import re
import threading
import time
from pathlib import Path

import pytest

from tests.mutants.conftest import MODULE, git
from tools.mutants.checkout import Stopped, checkout

BROKEN = MODULE.replace("result += value", "result -= value")


def test_a_broken_module_is_noticed_in_the_copy_and_the_users_file_stays(repository: Path) -> None:
    with checkout(repository, "tree") as tree:
        with tree.broken("include/gates/sums.py", BROKEN):
            assert (repository / "include/gates/sums.py").read_text() == MODULE
            run = tree.test(["unit/gates/test_sums.py"], 60)
        assert run.failed == ("tests/unit/gates/test_sums.py::test_values_are_added",)
        assert run.code == 1
        assert tree.test(["unit/gates/test_sums.py"], 60).passed
    assert not tree.folder.exists()
    assert git(repository, "worktree", "list").count("\n") == 1
    assert git(repository, "status", "--porcelain") == ""


def test_the_copy_is_removed_after_an_error_and_made_over_one_that_was_left(repository: Path) -> None:
    with pytest.raises(KeyboardInterrupt), checkout(repository, "tree"):
        raise KeyboardInterrupt
    left = repository / "build/mutants/tree"
    assert not left.exists()
    left.mkdir(parents=True)
    (left / "rubbish").touch()
    with checkout(repository, "tree") as tree:
        assert not (tree.folder / "rubbish").exists()


def test_a_module_that_cannot_be_imported_is_a_failure(repository: Path) -> None:
    with checkout(repository, "tree") as tree, tree.broken("include/gates/sums.py", "raise ValueError\n"):
        run = tree.test(["unit/gates/test_sums.py"], 60)
    assert not run.passed
    assert run.failed == ("tests/unit/gates/test_sums.py",)


def test_names_with_spaces_are_read_from_the_summary(repository: Path) -> None:
    test = repository / "tests/unit/gates/test_sums.py"
    test.write_text(
        "import pytest\n\n@pytest.mark.parametrize('x', ['a - b c'])\ndef test_x(x):\n    assert not x\n"
    )
    git(repository, "commit", "--quiet", "--all", "--message", "second")
    with checkout(repository, "tree") as tree:
        run = tree.test(["unit/gates/test_sums.py"], 60)
        assert run.failed[0].startswith("tests/unit/gates/test_sums.py::test_x[a")


def test_a_run_that_takes_too_long_is_ended_with_what_it_started(repository: Path) -> None:
    (repository / "tests/unit/gates/test_sums.py").write_text(TESTS_THAT_HANG)
    git(repository, "commit", "--quiet", "--all", "--message", "second")
    with checkout(repository, "tree") as tree:
        run = tree.test(["unit/gates/test_sums.py"], 5)
        assert run.code is None
        assert not run.passed
        child = int((tree.folder / "build.pid").read_text())
    deadline = time.monotonic() + 10
    while _runs(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(child)


def test_a_run_that_is_stopped_ends_at_once_and_says_so(repository: Path) -> None:
    (repository / "tests/unit/gates/test_sums.py").write_text(TESTS_THAT_HANG)
    git(repository, "commit", "--quiet", "--all", "--message", "second")
    with checkout(repository, "tree") as tree:
        timer = threading.Timer(3, tree.stop)
        timer.start()
        started = time.monotonic()
        with pytest.raises(Stopped):
            tree.test(["unit/gates/test_sums.py"], 120)
        assert time.monotonic() - started < 60
        with pytest.raises(Stopped):
            tree.test(["unit/gates/test_sums.py"], 120)


def test_a_test_that_does_not_end_is_named_and_ended(repository: Path) -> None:
    (repository / "tests/unit/gates/test_sums.py").write_text(TESTS_THAT_HANG)
    git(repository, "commit", "--quiet", "--all", "--message", "second")
    with checkout(repository, "tree") as tree:
        run = tree.test(["unit/gates/test_other.py", "unit/gates/test_sums.py"], 120, silence=5)
    assert run.code is None
    assert run.failed == ("tests/unit/gates/test_sums.py::test_hangs",)


def test_several_files_are_run_in_their_order(repository: Path) -> None:
    with checkout(repository, "tree") as tree:
        run = tree.test(["unit/gates/test_sums.py", "unit/gates/test_other.py"], 60)
    assert run.passed
    names = re.findall(r"test_(?:sums|other)\.py::\w+", run.output)
    assert names == ["test_sums.py::test_values_are_added", "test_other.py::test_nothing"]


TESTS_THAT_HANG = """import pathlib
import subprocess
import time


def test_hangs() -> None:
    child = subprocess.Popen(["sleep", "300"], start_new_session=True)
    pathlib.Path("build.pid").write_text(str(child.pid))
    time.sleep(300)
"""


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False
