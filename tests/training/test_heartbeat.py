"""A rank that vanishes ends the job soon, and the failure names its host."""

from __future__ import annotations

import os
import queue
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from include.contracts.errors import ContractError
from tests.training.corpora import ROOT, Corpus, LocalRun, configure, failure, make_run
from training.heartbeat import Heartbeat
from training.job_inputs import PEER_TIMEOUT_SECONDS, MlRoot
from training.launcher import read_plan
from training.ranks import RankPosition

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
HOSTS = ("algo-1", "algo-2", "algo-3")


@dataclass
class HostHeartbeats:
    """Heartbeats of one rank on each of three hosts, all in this process."""

    address: str
    timeout: float = 1.0
    beats: dict[int, Heartbeat] = field(default_factory=dict)
    reasons: queue.Queue[tuple[int, str]] = field(default_factory=queue.Queue)

    def start(self, *ranks: int) -> None:
        for rank in ranks:
            position = RankPosition(rank, 0, len(HOSTS), 1, HOSTS)
            self.beats[rank] = Heartbeat(position, self.address, self.timeout, self._ender(rank))
            self.beats[rank].start()

    def _ender(self, rank: int):  # type: ignore[no-untyped-def]
        def end(reason: str) -> None:
            self.reasons.put((rank, reason))
            raise SystemExit  # ends the thread, as the process would end

        return end

    def ended(self, ranks: set[int]) -> dict[int, str]:
        """Wait until these ranks have ended. Return their reasons."""
        found: dict[int, str] = {}
        while not ranks <= found.keys():
            rank, reason = self.reasons.get(timeout=10)
            found[rank] = reason
        return found

    def freeze(self, rank: int) -> None:
        """Keep the connections of a rank open, and answer nothing from now on."""
        self.beats[rank]._receive = threading.Event().wait  # type: ignore[method-assign, assignment]


@pytest.fixture(params=["unix", "tcp"])
def job(request: pytest.FixtureRequest) -> Iterator[HostHeartbeats]:
    if request.param == "unix":
        address = f"unix:test-{os.getpid()}-{time.monotonic_ns()}"
    else:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"tcp:127.0.0.1:{free.getsockname()[1]}"
    job = HostHeartbeats(address)
    yield job
    for beat in job.beats.values():
        beat._finished.set()


def test_ranks_that_answer_are_left_alone_and_may_leave_in_any_order(job: HostHeartbeats) -> None:
    job.start(1, 0, 2)
    time.sleep(2.5 * job.timeout)
    for rank in (2, 0, 1):
        job.beats[rank].leave()
        time.sleep(1.2 * job.timeout)
    assert job.reasons.empty()


def test_a_frozen_rank_is_named_with_its_host_on_every_other(job: HostHeartbeats) -> None:
    job.start(0, 1, 2)
    time.sleep(0.5)
    job.freeze(2)
    reasons = job.ended({0, 1})
    assert reasons[0] == reasons[1]
    assert reasons[0].startswith(
        "host algo-3: rank 2 has not answered for 1 seconds; to do: look at this host"
    )


def test_a_frozen_first_rank_is_named_by_the_others(job: HostHeartbeats) -> None:
    job.start(0, 1, 2)
    time.sleep(0.5)
    job.freeze(0)
    reasons = job.ended({1, 2})
    assert all(text.startswith("host algo-1: rank 0 has not answered") for text in reasons.values())


def test_a_host_that_never_comes_is_named(job: HostHeartbeats) -> None:
    job.start(0, 1)
    assert job.ended({0, 1})[1].startswith("host algo-3: rank 2 has not joined for 1 seconds")


def test_a_first_host_that_never_comes_is_named(job: HostHeartbeats) -> None:
    job.start(1, 2)
    reasons = job.ended({1, 2})
    assert all(text.startswith("host algo-1: rank 0 has not joined") for text in reasons.values())


def test_a_rank_that_ends_without_finishing_is_named(job: HostHeartbeats) -> None:
    job.start(0, 1, 2)
    time.sleep(0.5)
    dead = job.beats[1]._peers[0].channel
    assert dead is not None
    job.beats[1]._connect = lambda: None  # type: ignore[method-assign]
    dead.shutdown(socket.SHUT_RDWR)
    reasons = job.ended({0, 2})
    assert re.match(r"host algo-2: rank 1 (closed its connection|has not answered)", reasons[2])


def test_a_broken_connection_between_living_ranks_is_made_again(job: HostHeartbeats) -> None:
    job.start(0, 1, 2)
    time.sleep(0.5)
    broken = job.beats[1]._peers[0].channel
    assert broken is not None
    broken.shutdown(socket.SHUT_RDWR)
    time.sleep(2.5 * job.timeout)
    assert job.reasons.empty()


@pytest.mark.parametrize("stuck", [0, 1, 2])
def test_a_rank_that_answers_but_lets_the_others_wait_is_named(job: HostHeartbeats, stuck: int) -> None:
    job.start(0, 1, 2)
    for _ in range(5):
        for beat in job.beats.values():
            beat.advance()
    for rank in {0, 1, 2} - {stuck}:
        job.beats[rank].advance()
    reasons = job.ended({0, 1, 2})
    expected = f"host algo-{stuck + 1}: rank {stuck} answers but makes no progress, and others have waited 1 "
    assert all(text.startswith(expected) for text in reasons.values())


def test_ranks_that_compute_for_long_or_take_turns_at_being_late_are_left_alone(job: HostHeartbeats) -> None:
    job.start(0, 1, 2)
    time.sleep(2.5 * job.timeout)
    for late in (0, 1, 2, 0, 1, 2):
        for rank in {0, 1, 2} - {late}:
            job.beats[rank].advance()
        time.sleep(0.5 * job.timeout)
        job.beats[late].advance()
    assert job.reasons.empty()


def test_the_longest_silence_is_below_120_seconds(tmp_path: Path) -> None:
    assert read_plan(MlRoot(tmp_path), 1, 1).peer_timeout_seconds == PEER_TIMEOUT_SECONDS <= 110
    for impossible in (0.0, 111.0, float("nan")):
        with pytest.raises(ContractError, match=r"peer_timeout_seconds: .*expected 1 to 110 seconds"):
            read_plan(MlRoot(tmp_path), 1, 1, impossible)


def wait_for_step(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("step=3 "):
            return
    pytest.fail("the run ended before its third step")


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize("frozen", [0, 1])
def test_a_frozen_rank_ends_the_run_and_its_host_is_the_reason(
    tmp_path: Path, corpus: Corpus, frozen: int
) -> None:
    run = make_run(tmp_path, corpus, steps=100_000)
    process = run.start("--ranks", "2", "--peer-timeout-seconds", "8")
    wait_for_step(process)
    begun = time.monotonic()
    os.kill(children(process.pid)[frozen], signal.SIGSTOP)
    process.communicate(timeout=60)
    assert process.returncode == 1
    assert time.monotonic() - begun < 8 + 5 + 10
    assert failure(run).startswith(f"host localhost: rank {frozen} has not answered for 8 seconds")


@pytest.mark.parametrize("stalled", [0, 1])
def test_a_rank_whose_main_thread_is_stuck_ends_the_run_and_its_host_is_the_reason(
    tmp_path: Path, corpus: Corpus, stalled: int
) -> None:
    run = make_run(tmp_path, corpus, steps=100)
    faults = f"{ROOT / 'tests/training/faults'}{os.pathsep}{ROOT}"
    fault = {"PYTHONPATH": faults, "STALLED_STEP": "4", "FAULTY_RANK": str(stalled)}
    code, output = run.finish("--ranks", "2", "--peer-timeout-seconds", "5", **fault)
    assert code == 1, output
    assert "step=3 " in output and "step=4 " not in output
    assert failure(run).startswith(f"host localhost: rank {stalled} answers but makes no progress")


def two_hosts(folder: Path, corpus: Corpus) -> tuple[list[LocalRun], dict[str, str]]:
    """Make a run on two hosts that are both this machine, and the environment of their launchers."""
    hosts = ["127.0.0.1", "localhost"]
    runs = [make_run(folder / host, corpus, steps=100_000) for host in hosts]
    for run, host in zip(runs, hosts, strict=True):
        resources = {"current_host": host, "hosts": hosts, "network_interface_name": "lo"}
        configure(run, "resourceconfig", resources)
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return runs, {"MASTER_PORT": str(one.getsockname()[1])}


def test_a_frozen_host_is_named_by_the_others(tmp_path: Path, corpus: Corpus) -> None:
    runs, environment = two_hosts(tmp_path, corpus)
    first, second = (run.start("--peer-timeout-seconds", "8", **environment) for run in runs)
    wait_for_step(first)
    frozen = [second.pid, *children(second.pid)]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    begun = time.monotonic()
    first.communicate(timeout=60)
    for pid in frozen:
        os.kill(pid, signal.SIGKILL)
    second.communicate(timeout=10)
    assert first.returncode == 1
    assert time.monotonic() - begun < 8 + 5 + 10
    assert failure(runs[0]).startswith("host localhost: rank 1 has not answered for 8 seconds")


def test_a_host_that_never_starts_is_named(tmp_path: Path, corpus: Corpus) -> None:
    runs, environment = two_hosts(tmp_path, corpus)
    code, output = runs[1].finish("--peer-timeout-seconds", "4", **environment)
    assert code == 1, output
    assert failure(runs[1]).startswith("host 127.0.0.1: rank 0 has not joined for 4 seconds")
