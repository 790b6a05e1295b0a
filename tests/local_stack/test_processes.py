"""Processes of the local system: ended as groups, never a stranger's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from local_stack import processes
from local_stack.processes import ProcessBook, ProcessRecord, end_group, start_ticks
from tests.support.waiting import wait_until


def started(book: ProcessBook, tmp_path: Path, code: str) -> ProcessRecord:
    return book.start("child", [sys.executable, "-c", code], os.environ, tmp_path / "log", tmp_path)


def test_stop_all_ends_the_process_and_its_children(tmp_path: Path) -> None:
    book = ProcessBook(tmp_path)
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(child.pid, flush=True)\ntime.sleep(600)\n"
    )
    record = started(book, tmp_path, code)
    wait_until(lambda: (tmp_path / "log").read_text().strip().isdigit())
    grandchild = int((tmp_path / "log").read_text())

    assert book.stop_all() == ["child"]

    wait_until(lambda: start_ticks(grandchild) is None)
    assert not record.alive
    assert book.records() == []


def test_children_are_ended_when_their_leader_is_already_dead(tmp_path: Path) -> None:
    book = ProcessBook(tmp_path)
    code = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(child.pid, flush=True)\n"
    )
    record = started(book, tmp_path, code)
    wait_until(lambda: not record.alive)
    orphan = int((tmp_path / "log").read_text())
    assert start_ticks(orphan) is not None

    book.stop_all()

    wait_until(lambda: start_ticks(orphan) is None)


def test_a_process_that_ignores_sigterm_is_killed_after_the_grace(tmp_path: Path) -> None:
    book = ProcessBook(tmp_path)
    code = (
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('ready', flush=True)\ntime.sleep(600)\n"
    )
    record = started(book, tmp_path, code)
    wait_until(lambda: "ready" in (tmp_path / "log").read_text())

    end_group(record, grace_seconds=0.2)

    wait_until(lambda: not record.alive)


def test_a_pid_that_belongs_to_a_stranger_is_left_alone(tmp_path: Path) -> None:
    stranger = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True
    )
    try:
        end_group(ProcessRecord("ours, long gone", stranger.pid, started=1, log=""), grace_seconds=0.2)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize("content", ["", "x"])
def test_output_is_appended_to_the_log(tmp_path: Path, content: Any) -> None:
    (tmp_path / "log").write_text(content)
    book = ProcessBook(tmp_path)
    record = started(book, tmp_path, "print('hello')")
    wait_until(lambda: not record.alive)
    assert (tmp_path / "log").read_text() == content + "hello\n"


def test_a_process_that_vanishes_while_the_list_is_read_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = [tmp_path / "10", tmp_path / "20"]
    for folder in listed:
        folder.mkdir()
    (tmp_path / "20" / "stat").write_text("20 (a b) S 1 77 77 0")  # 10 has ended, so it has no stat
    monkeypatch.setattr(processes, "Path", lambda _: SimpleNamespace(iterdir=lambda: iter(listed)))
    assert processes._group_lives(77)
    assert not processes._group_lives(78)
