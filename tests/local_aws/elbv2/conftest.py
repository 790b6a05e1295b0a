"""Containers without ECS, and a server that knows the test image."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.local_aws.conftest import LocalAws
from tests.local_aws.elbv2.worlds import CONTAINER, Balancer
from tests.support.aws_models import Recorder
from tests.support.ports import free_port
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def elbv2(shared_local_aws: LocalAws) -> Any:
    """A client whose answers are checked against botocore's model."""
    return Recorder().watch(shared_local_aws.client("elbv2", parameter_validation=False))


@pytest.fixture
def balancer(elbv2: Any, request: pytest.FixtureRequest) -> Iterator[Balancer]:
    made = Balancer(elbv2, f"lb-{abs(hash(request.node.name)) % 10**8}")
    yield made
    elbv2.delete_load_balancer(LoadBalancerArn=made.arn)


@pytest.fixture
def container() -> Iterator[Callable[..., int]]:
    """Starts a container with these variables; returns its port when it listens."""
    running: list[subprocess.Popen[str]] = []

    def start(port: int = 0, **environment: str) -> int:
        port = port or free_port()
        process = subprocess.Popen(
            [sys.executable, str(CONTAINER)],
            env={**os.environ, "PORT": str(port), **environment},
            stdout=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        assert process.stdout is not None
        assert "listens" in process.stdout.readline()
        return port

    yield start
    for process in running:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture
def serving(balancer: Balancer, container: Callable[..., int]) -> Callable[..., list[int]]:
    """Containers behind the balancer, healthy."""

    def start(*environments: dict[str, str]) -> list[int]:
        ports = [container(**environment) for environment in environments]
        balancer.register(*ports)
        wait_until(balancer.states, lambda states: all(states.get(p) == "healthy" for p in ports))
        return ports

    return start
