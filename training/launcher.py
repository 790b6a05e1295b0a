"""Entry point of the training container: starts and supervises one process per rank.

    python -m training.launcher --request s3://nexus-llm-models/runs/<run>/training_request.json

There is one rank per GPU. Without a GPU, ``--ranks`` or the hyperparameter ``ranks`` sets their number, one
by default. It replaces SageMaker's toolkit and torchrun, which do not forward SIGTERM to the ranks in time.

Exit codes: 0 the run is complete; 143 it was interrupted and a checkpoint is complete, so the same job can be
started again; 1 it failed, and ``/opt/ml/output/failure`` holds the reason.
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from include.contracts.errors import ContractError, NexusError
from training.job_inputs import EXIT_INTERRUPTED, PEER_TIMEOUT_SECONDS, MlRoot

#: Seconds from SIGTERM to SIGKILL; SageMaker gives 120 and then kills the container.
GRACE_SECONDS = 110.0
#: Seconds that the other ranks get to end by themselves once one has failed.
_FAILED_GRACE_SECONDS = 5.0
#: Port of torch's rendezvous on the first host, unless MASTER_PORT names another. Heartbeats use the next.
_PORT = 29500
_HYPERPARAMETERS = ("ranks", "threads_per_rank", "peer_timeout_seconds")
#: The longest allowed silence of a rank. The others need a few more seconds to end, 120 at most in all.
_LONGEST_PEER_TIMEOUT_SECONDS = 110


@dataclass(frozen=True)
class Plan:
    """The ranks to start on this host. ``network`` is the interface that reaches the other hosts.

    If a rank is silent for ``peer_timeout_seconds``, the others end.
    """

    ranks: int
    host: int
    hosts: tuple[str, ...]
    threads: int
    network: str
    peer_timeout_seconds: float = PEER_TIMEOUT_SECONDS

    @property
    def world_size(self) -> int:
        """The number of ranks of all hosts. Every host has the same number."""
        return self.ranks * len(self.hosts)


def read_plan(
    root: MlRoot, ranks: int | None, threads: int | None, peer_timeout: float | None = None
) -> Plan:
    """Build the plan from the command line, SageMaker's hyperparameters and its resource configuration."""
    hyperparameters = _hyperparameters(root)
    gpus = _gpus()
    local = gpus or ranks or hyperparameters.get("ranks", 1)
    cores = len(os.sched_getaffinity(0))
    per_rank = threads or hyperparameters.get("threads_per_rank", max(1, cores // local))
    resources = root.configuration("resourceconfig")
    hosts = tuple(sorted(resources.get("hosts", ["localhost"])))
    current = resources.get("current_host", hosts[0])
    if current not in hosts:
        raise ContractError(
            "current_host is not among hosts",
            where="resourceconfig.json",
            expected=", ".join(hosts),
            got=current,
        )
    network = resources.get("network_interface_name", "eth0") if len(hosts) > 1 else "lo"
    silence = (
        peer_timeout
        if peer_timeout is not None
        else float(hyperparameters.get("peer_timeout_seconds", PEER_TIMEOUT_SECONDS))
    )
    if not 1 <= silence <= _LONGEST_PEER_TIMEOUT_SECONDS:
        raise ContractError(
            "the allowed silence of a rank is out of range",
            where="peer_timeout_seconds",
            expected=f"1 to {_LONGEST_PEER_TIMEOUT_SECONDS} seconds",
            got=f"{silence:g}",
        )
    return Plan(local, hosts.index(current), hosts, per_rank, network, silence)


def check_channels(root: MlRoot) -> None:
    """Raise InputError, before any rank starts, if a channel is missing."""
    channels = {"tokens", "tokenizer"} | set(root.configuration("inputdataconfig"))
    for name in sorted(channels):
        root.channel(name)


class Ranks:
    """The processes of this host."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        """Prepare the launch without starting a process. Only this launch may use ``folder``."""
        self._failures = [folder / f"rank_{local}.failure" for local in range(plan.ranks)]
        self._plan = plan
        self._folder = folder
        self._interrupted_at: float | None = None
        self._processes: list[subprocess.Popen[bytes]] = []
        self._first_failed: subprocess.Popen[bytes] | None = None

    def start(self, command: Sequence[str]) -> None:
        """Start all ranks, each in its own session, so that Ctrl-C reaches only this process."""
        for local in range(self._plan.ranks):
            self._processes.append(
                subprocess.Popen(
                    command, env=self._environment(local), stdin=subprocess.PIPE, start_new_session=True
                )
            )
        if self._interrupted_at is not None:  # a signal arrived during the start
            self._signal(signal.SIGTERM)

    def interrupt(self, number: int, frame: object) -> None:
        """Send SIGTERM to the ranks and start the grace period. A signal handler may call it."""
        if self._interrupted_at is None:
            self._interrupted_at = time.monotonic()
        self._signal(signal.SIGTERM)

    def wait(self, grace_seconds: float) -> int:
        """Wait until every rank has ended. Return the launcher's exit code.

        If a rank fails, the others are ended too, because they would wait for it forever.
        """
        poller = select.poll()
        watched = {os.pidfd_open(process.pid): process for process in self._processes}
        for descriptor in watched:
            poller.register(descriptor, select.POLLIN)
        failed_at: float | None = None
        while watched:
            for descriptor, _ in poller.poll(500):
                poller.unregister(descriptor)
                os.close(descriptor)
                process = watched.pop(descriptor)
                code = process.wait()
                if code not in (0, EXIT_INTERRUPTED) and failed_at is None:
                    self._first_failed = process
                    failed_at = time.monotonic()
                    self._signal(signal.SIGTERM)
            now = time.monotonic()
            late = self._interrupted_at is not None and now > self._interrupted_at + grace_seconds
            if late or (failed_at is not None and now > failed_at + _FAILED_GRACE_SECONDS):
                self._signal(signal.SIGKILL)
        return self._exit_code()

    def failure(self) -> str:
        """Return the reason of the failure, from the rank that failed first if it has written one."""
        left = sorted((p for p in self._failures if p.exists()), key=lambda p: p.stat().st_mtime_ns)
        texts = [path.read_text() for path in left]  # the rank that failed first knows the reason
        own = [
            text for text in texts if not text.startswith("rank ")
        ]  # the others only report that this rank failed
        if own or texts:
            return (own or texts)[0]
        if self._first_failed is None:
            return "no rank failed"
        rank = self._plan.host * self._plan.ranks + self._processes.index(self._first_failed)
        host = self._plan.hosts[self._plan.host]
        return f"rank {rank} on host {host} ended with {_ending(self._first_failed.returncode)}"

    def _exit_code(self) -> int:
        codes = [process.returncode for process in self._processes]
        if all(code == 0 for code in codes):
            return 0
        # a rank that was interrupted before it could listen has nothing to save
        interrupted = (0, EXIT_INTERRUPTED, -signal.SIGTERM)
        if self._interrupted_at is not None and all(code in interrupted for code in codes):
            return EXIT_INTERRUPTED
        if all(code == EXIT_INTERRUPTED for code in codes):
            return EXIT_INTERRUPTED
        return 1

    def _signal(self, number: signal.Signals) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(number)

    def _environment(self, local: int) -> dict[str, str]:
        plan, port = self._plan, int(os.environ.get("MASTER_PORT", _PORT))
        environment = os.environ | {
            "RANK": str(plan.host * plan.ranks + local),
            "LOCAL_RANK": str(local),
            "WORLD_SIZE": str(plan.world_size),
            "LOCAL_WORLD_SIZE": str(plan.ranks),
            "OMP_NUM_THREADS": str(plan.threads),
            "MKL_NUM_THREADS": str(plan.threads),
            "MASTER_ADDR": plan.hosts[0],
            "MASTER_PORT": str(port),
            "GLOO_SOCKET_IFNAME": plan.network,
            # deterministic matrix products on GPUs
            "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
            "NEXUS_RANK_FAILURE": str(self._failures[local]),
            "NEXUS_HOSTS": ",".join(plan.hosts),
            "NEXUS_HEARTBEAT": f"tcp:{plan.hosts[0]}:{port + 1}",
            "NEXUS_PEER_TIMEOUT_SECONDS": str(plan.peer_timeout_seconds),
        }
        if len(plan.hosts) == 1:  # files, because another process could take a port
            environment["NEXUS_STORE"] = str(self._folder / "store")
            environment["NEXUS_HEARTBEAT"] = f"unix:{self._folder.name}-{os.getpid()}"
        return environment


def main(argv: Sequence[str] | None = None) -> int:
    """Start the ranks, wait for them, and write the reason of a failure to SageMaker's file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--request", required=True, help="URI of the TrainingRequest")
    parser.add_argument("--ranks", type=int, help="ranks on this host, where it has no GPU")
    parser.add_argument("--threads-per-rank", type=int, help="cores / ranks by default")
    parser.add_argument("--grace-seconds", type=float, default=GRACE_SECONDS)
    parser.add_argument(
        "--peer-timeout-seconds", type=float, help=f"longest silence of a rank ({PEER_TIMEOUT_SECONDS:g} s)"
    )
    arguments = parser.parse_args(argv)
    root = MlRoot.from_environment()
    try:
        check_channels(root)
        plan = read_plan(root, arguments.ranks, arguments.threads_per_rank, arguments.peer_timeout_seconds)
    except NexusError as error:
        return _fail(root, str(error))
    print(
        f"launcher: host {plan.host + 1} of {len(plan.hosts)}, {plan.ranks} ranks of {plan.threads} threads",
        flush=True,
    )
    with tempfile.TemporaryDirectory(prefix="nexus-launch-") as folder:
        command = [sys.executable, "-m", "training.loop", "--request", arguments.request]
        ranks = Ranks(plan, Path(folder))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, ranks.interrupt)
        ranks.start(command)
        code = ranks.wait(arguments.grace_seconds)
        return _fail(root, ranks.failure()) if code == 1 else code


def _hyperparameters(root: MlRoot) -> dict[str, int]:
    """Read the hyperparameters, which SageMaker passes as strings, except its own (``sagemaker_…``)."""
    found: dict[str, int] = {}
    for name, value in root.configuration("hyperparameters").items():
        if name.startswith("sagemaker_"):
            continue
        if name not in _HYPERPARAMETERS:
            raise ContractError(
                f"unknown hyperparameter '{name}'",
                where="hyperparameters.json",
                expected=f"one of {', '.join(_HYPERPARAMETERS)}",
                remedy="put everything else into the recipe of the training request",
            )
        found[name] = _positive(name, value)
    return found


def _positive(name: str, value: Any) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = 0
    if number < 1:
        raise ContractError(
            f"hyperparameter '{name}' is impossible",
            where="hyperparameters.json",
            expected="a whole number of at least 1",
            got=repr(value),
        )
    return number


def _gpus() -> int:
    """Count the NVIDIA devices without importing torch, which takes seconds."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    devices = len(list(Path("/dev").glob("nvidia[0-9]*")))
    return min(devices, len([d for d in visible.split(",") if d])) if visible is not None else devices


def _ending(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _fail(root: MlRoot, reason: str) -> int:
    print(f"launcher: failed: {reason}", file=sys.stderr)
    root.failure.parent.mkdir(parents=True, exist_ok=True)
    root.failure.write_text(reason)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
