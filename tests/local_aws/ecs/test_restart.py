"""Services, tasks and listeners survive a restart of local_aws."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.local_aws.conftest import LocalAws
from tests.local_aws.elbv2.worlds import EcsWorld, ask, seen
from tests.support.waiting import wait_until


@pytest.fixture
def pids(world: EcsWorld) -> dict[str, int]:
    """A running service of two tasks; the container process of each."""
    world.create(world.define("one"))
    world.steady()
    return container_pids(world)


def container_pids(world: EcsWorld) -> dict[str, int]:
    """Task to the process that listens on its port."""
    found = {}
    for task in world.tasks():
        port = str(task["containers"][0]["networkBindings"][0]["hostPort"])
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit() or int(folder.name) == os.getpid():
                continue
            try:
                environment = (folder / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if f"PORT={port}".encode() in environment:
                found[task["taskArn"]] = int(folder.name)
    return found


def test_living_tasks_are_kept_over_a_kill(world: EcsWorld, server: LocalAws, pids: dict[str, int]) -> None:
    server.restart(signal.SIGKILL)
    wait_until(world.balancer.states, lambda states: sorted(states.values()) == ["healthy", "healthy"])
    assert ask(world.balancer.port)[0] == 200
    assert container_pids(world) == pids
    service = world.service()
    assert (service["runningCount"], service["deployments"][0]["rolloutState"]) == (2, "COMPLETED")
    # and they can still be rolled
    assert world.ended(world.update(taskDefinition=world.define("two")))["status"] == "SUCCESSFUL"
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids.values())


def test_a_task_that_died_meanwhile_is_replaced(
    world: EcsWorld, server: LocalAws, pids: dict[str, int]
) -> None:
    server.kill()
    dead, living = pids
    os.kill(pids[dead], signal.SIGKILL)
    server.start()
    tasks = wait_until(
        world.tasks, lambda tasks: len(tasks) == 2 and dead not in [t["taskArn"] for t in tasks]
    )
    assert living in [task["taskArn"] for task in tasks]
    wait_until(world.balancer.states, lambda states: sorted(states.values()) == ["healthy", "healthy"])
    assert world.service()["deployments"][0]["failedTasks"] == 0


def test_a_rollout_goes_on_after_a_kill(world: EcsWorld, server: LocalAws, pids: dict[str, int]) -> None:
    started = world.update(taskDefinition=world.define("two"))
    server.restart(signal.SIGKILL)
    assert world.ended(started)["status"] == "SUCCESSFUL"
    assert {seen(world.balancer.port)["version"] for _ in range(4)} == {"two"}
    assert len(container_pids(world)) == 2
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids.values())


def test_an_orderly_stop_ends_all_tasks_and_a_start_brings_them_back(
    world: EcsWorld, server: LocalAws, pids: dict[str, int]
) -> None:
    assert server.end() == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids.values())
    server.start()
    wait_until(world.balancer.states, lambda states: sorted(states.values()) == ["healthy", "healthy"])
    assert seen(world.balancer.port)["version"] == "one"
    assert world.service()["deployments"][0]["failedTasks"] == 0


def test_balancers_keep_their_settings_over_a_restart(world: EcsWorld, server: LocalAws) -> None:
    elbv2, group = world.balancer.elbv2, world.balancer.group
    attributes = [{"Key": "deregistration_delay.timeout_seconds", "Value": "7"}]
    elbv2.modify_target_group_attributes(TargetGroupArn=group, Attributes=attributes)
    before = [
        elbv2.describe_load_balancers()["LoadBalancers"],
        elbv2.describe_target_groups()["TargetGroups"],
        elbv2.describe_listeners(LoadBalancerArn=world.balancer.arn)["Listeners"],
        elbv2.describe_target_group_attributes(TargetGroupArn=group)["Attributes"],
    ]
    server.restart(signal.SIGKILL)
    after = [
        elbv2.describe_load_balancers()["LoadBalancers"],
        elbv2.describe_target_groups()["TargetGroups"],
        elbv2.describe_listeners(LoadBalancerArn=world.balancer.arn)["Listeners"],
        elbv2.describe_target_group_attributes(TargetGroupArn=group)["Attributes"],
    ]
    assert after == before
    assert ask(world.balancer.port)[0] == 503
