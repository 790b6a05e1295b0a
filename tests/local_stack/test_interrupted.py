"""A command that is interrupted in the middle leaves nothing running; `down` also after a kill -9."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_aws.jobs.leftovers import end_leftovers
from local_stack.config import StackConfig
from local_stack.processes import start_ticks
from local_stack.provision import client
from local_stack.stack import Stack
from tests.support.ports import free_ports
from tests.support.signals import signals_as_in_a_terminal
from tests.support.waiting import wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
SIGNALS = [signal.SIGTERM, signal.SIGHUP]


def belonging_to(state: Path) -> dict[int, str]:
    """Live processes that have the state folder in their environment or command line, or work in it.

    Airflow's processes write their titles over the first two.
    """
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            line = (entry / "cmdline").read_bytes()
            told = line + (entry / "environ").read_bytes() + os.fsencode((entry / "cwd").readlink())
            if str(state).encode() in told:
                found[int(entry.name)] = line.replace(b"\0", b" ").decode()
        except OSError:
            continue
    return found


@pytest.fixture(autouse=True)
def terminal() -> Iterator[None]:
    with signals_as_in_a_terminal(SIGNALS):
        yield


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A state folder; whatever a failed test leaves running for it is killed."""
    folder = tmp_path / "the_state_of_this_test"
    yield folder
    for pid in belonging_to(folder):
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    folder = tmp_path / "shards"
    folder.mkdir()
    (folder / "one.jsonl").write_text(json.dumps({"text": "A document.", "meta": {}}) + "\n")
    return folder


@pytest.fixture
def summary(tmp_path: Path) -> Path:
    path = tmp_path / "summary.json"
    plain = {"corpus": {"reused": False}, "training": {"interruptions": 1}, "seconds": {"total": 1.0}}
    path.write_text(json.dumps(plain))
    return path


def started(state: Path, *command: str) -> subprocess.Popen[str]:
    """Start the command, and return it when it has started a process in a session of its own."""
    names = ("NEXUS_AWS_PORT", "NEXUS_AIRFLOW_PORT", "NEXUS_SERVING_PORT")
    ports = {name: str(port) for name, port in zip(names, free_ports(3), strict=True)}
    paths = {"NEXUS_ROOT": str(REPOSITORY), "NEXUS_STATE": str(state)}
    paths["PYTHONPATH"] = f"{REPOSITORY}:{REPOSITORY / 'plugins'}"
    process = subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env=os.environ | ports | paths,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    book = state / "processes.json"
    wait_until(lambda: book.exists() or process.poll() is not None)
    assert process.poll() is None, process.communicate()[0]
    return process


def ended(process: subprocess.Popen[str], number: signal.Signals, state: Path) -> int:
    """Send the signal ``number``, check that nothing of the command remains, and return its exit status."""
    assert len(belonging_to(state)) >= 2
    process.send_signal(number)
    process.communicate(timeout=180)  # gathering the text of a demo is finished first
    assert belonging_to(state) == {}
    return process.returncode


@pytest.mark.parametrize("number", SIGNALS)
def test_an_interrupted_up_leaves_nothing(state: Path, number: signal.Signals) -> None:
    assert ended(started(state, sys.executable, "-m", "local_stack", "up"), number, state) == 130


@pytest.mark.parametrize("number", SIGNALS)
def test_an_interrupted_demo_leaves_nothing(state: Path, shards: Path, number: signal.Signals) -> None:
    output = str(state.parent / "output")
    command = (sys.executable, "-m", "demo", "--data", str(shards), "--output", output)
    assert ended(started(state, *command), number, state) == 130


@pytest.mark.parametrize("number", SIGNALS)
def test_an_interrupted_bare_jobs_leaves_nothing(state: Path, summary: Path, number: signal.Signals) -> None:
    command = (sys.executable, "-m", "benchmarks.bare_jobs", "--summary", str(summary))
    assert ended(started(state, *command), number, state) == 130


def test_an_interrupted_bench_orchestration_leaves_nothing(state: Path) -> None:
    command = (sys.executable, "-m", "benchmarks.orchestration", "--output", str(state.parent / "bench"))
    assert ended(started(state, *command), signal.SIGTERM, state) == 130


def test_make_that_is_told_to_end_ends_what_up_had_started(state: Path) -> None:
    make = started(state, "make", "--old-file=setup", "up")
    assert ended(make, signal.SIGTERM, state) != 0


@pytest.mark.parametrize("target", ["demo", "up", "down", "bench-s3", "bench-orchestration"])
def test_no_shell_stands_between_make_and_the_command(target: str) -> None:
    """A shell that gets SIGTERM dies at once, and what it waited for lives on."""
    printed = subprocess.run(
        ["make", "-n", "--no-print-directory", "--old-file=setup", target],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    (line,) = printed.stdout.strip().splitlines()
    assert " exec /" in f" {line}"


@pytest.fixture
def running(state: Path) -> Iterator[tuple[Stack, int]]:
    """local_aws with a step that runs, and the step's pid."""
    aws, airflow, serving = free_ports(3)
    stack = Stack(StackConfig(REPOSITORY, state, aws, airflow, serving))
    state.mkdir()
    stack.start_local_aws()
    noted = state / "pid"
    jar = {"Jar": "command-runner.jar", "Args": ["sh", "-c", f"echo $$ > {noted}; exec sleep 600"]}
    client(stack.config, "emr").run_job_flow(
        Name="one",
        Instances={"KeepJobFlowAliveWhenNoSteps": True, "InstanceCount": 1},
        ReleaseLabel="emr-7.10.0",
        JobFlowRole="x",
        ServiceRole="x",
        Steps=[{"Name": "long", "ActionOnFailure": "CONTINUE", "HadoopJarStep": jar}],
    )
    wait_until(lambda: noted.exists() and noted.read_text().strip())
    yield stack, int(noted.read_text())
    stack.down(lambda _: None)


def test_down_ends_the_jobs_of_a_local_aws_that_was_killed(running: tuple[Stack, int]) -> None:
    stack, job = running
    (local_aws,) = stack.book.records()
    os.kill(local_aws.pid, signal.SIGKILL)
    wait_until(lambda: not local_aws.alive)
    assert start_ticks(job) is not None, "a job outlives local_aws; this test would show nothing"
    said: list[str] = []
    stack.down(said.append)
    assert start_ticks(job) is None
    assert belonging_to(stack.config.state) == {}
    assert any("that a killed local_aws left behind" in line for line in said)


def test_jobs_of_a_local_aws_that_lives_are_its_own(running: tuple[Stack, int]) -> None:
    stack, job = running
    assert end_leftovers(stack.config.aws_root) == 0
    assert start_ticks(job) is not None


def test_jobs_of_another_folder_are_strangers(running: tuple[Stack, int], tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    assert end_leftovers(tmp_path / "other") == 0
    assert end_leftovers(tmp_path / "absent") == 0
    assert start_ticks(running[1]) is not None
