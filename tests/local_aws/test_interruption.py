"""A signal in the middle of a command: raised like ^C, once, never in the midst of what must be finished."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.signals import signals_as_in_a_terminal
from tests.support.waiting import wait_until

REPOSITORY = Path(__file__).parents[2]
SIGNALS = [signal.SIGTERM, signal.SIGHUP, signal.SIGINT]
PRELUDE = """
import signal, subprocess, sys, time
from local_aws.interruption import child, interruptible, uninterrupted
def say(text): print(text, flush=True)
"""


class Command:
    """A Python process that runs ``code`` and whose lines can be waited for."""

    def __init__(self, code: str, *before: str) -> None:
        self.process = subprocess.Popen(
            [*before, sys.executable, "-c", PRELUDE + code],
            env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
            stdout=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def rest(self) -> list[str]:
        out, _ = self.process.communicate(timeout=30)
        return str(out).split()


@pytest.fixture(autouse=True)
def terminal() -> Iterator[None]:
    with signals_as_in_a_terminal(SIGNALS):
        yield


@pytest.fixture
def commands() -> Iterator[list[Command]]:
    started: list[Command] = []
    yield started
    for command in started:
        command.process.kill()
        command.process.wait()


WAITING = """
try:
    with interruptible():
        say("ready")
        time.sleep(600)
except KeyboardInterrupt:
    say("interrupted")
finally:
    time.sleep(0.5)
    say("cleaned")
"""


@pytest.mark.parametrize("number", SIGNALS)
def test_each_signal_raises_as_ctrl_c_does(commands: list[Command], number: signal.Signals) -> None:
    commands.append(command := Command(WAITING))
    assert command.line() == "ready"
    command.process.send_signal(number)
    assert command.rest() == ["interrupted", "cleaned"]
    assert command.process.returncode == 0


CLEANING = """
try:
    with interruptible():
        try:
            say("ready")
            time.sleep(600)
        finally:
            say("cleaning")
            time.sleep(1)
            say("cleaned")
except KeyboardInterrupt:
    say("interrupted")
"""


@pytest.mark.parametrize("number", SIGNALS)
def test_a_second_signal_does_not_cut_the_cleaning_up(
    commands: list[Command], number: signal.Signals
) -> None:
    commands.append(command := Command(CLEANING))
    assert command.line() == "ready"
    command.process.send_signal(signal.SIGTERM)
    assert command.line() == "cleaning"
    command.process.send_signal(number)
    assert command.rest() == ["cleaned", "interrupted"]


UNINTERRUPTED = """
try:
    with interruptible():
        with uninterrupted():
            say("begun")
            time.sleep(1)
            say("finished")
        say("unreached")
except KeyboardInterrupt:
    say("interrupted")
"""


def test_what_must_be_finished_is_finished_before_the_interruption(commands: list[Command]) -> None:
    commands.append(command := Command(UNINTERRUPTED))
    assert command.line() == "begun"
    command.process.send_signal(signal.SIGTERM)
    assert command.rest() == ["finished", "interrupted"]


IGNORED = """
with interruptible():
    say("ready")
    time.sleep(1)
    say("finished")
"""


def test_a_hangup_that_the_caller_ignores_stays_ignored(commands: list[Command]) -> None:
    commands.append(command := Command(IGNORED, "nohup"))
    assert command.line() == "ready"
    command.process.send_signal(signal.SIGHUP)
    assert command.rest() == ["finished"]


CHILD = """
try:
    with interruptible(), child([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        say(process.pid)
        time.sleep(600)
except KeyboardInterrupt:
    say("interrupted")
"""


@pytest.mark.parametrize("number", SIGNALS)
def test_a_child_does_not_outlive_the_block(commands: list[Command], number: signal.Signals) -> None:
    commands.append(command := Command(CHILD))
    pid = int(command.line())
    command.process.send_signal(number)
    assert command.rest() == ["interrupted"]
    assert not Path(f"/proc/{pid}").exists()


def test_signals_after_the_block_do_what_they_did_before(commands: list[Command]) -> None:
    commands.append(command := Command("with interruptible(): pass\nsay('ready'); time.sleep(600)"))
    assert command.line() == "ready"
    command.process.send_signal(signal.SIGTERM)
    assert command.process.wait(30) == -signal.SIGTERM


@pytest.mark.parametrize("number", SIGNALS)
def test_bench_s3_ends_its_server(tmp_path: Path, number: signal.Signals) -> None:
    bench = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.s3", "--root", str(tmp_path), "--rounds", "1000"],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        stderr=subprocess.PIPE,
    )
    try:
        servers = wait_until(lambda: _running_below(tmp_path, bench.pid), seconds=30)
        bench.send_signal(number)
        assert bench.wait(30) == 130
        assert not [pid for pid in servers if Path(f"/proc/{pid}").exists()]
        assert list(tmp_path.iterdir()) == []
    finally:
        bench.kill()
        bench.communicate()


def _running_below(folder: Path, but: int) -> list[int]:
    """Processes with ``folder`` in their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != but:
            try:
                if str(folder).encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found
