"""Services and their tasks as processes: crashes, scaling, environment, logs, the end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.local_aws.conftest import LocalAws
from tests.local_aws.elbv2.worlds import IMAGE, EcsWorld, Load, ask, seen
from tests.support.waiting import wait_until


def port_of(task: dict) -> int:  # type: ignore[type-arg]
    return int(task["containers"][0]["networkBindings"][0]["hostPort"])


def test_a_killed_task_is_replaced(world: EcsWorld, server: LocalAws) -> None:
    world.create(world.define("one"))
    world.steady()
    victim = world.tasks()[0]["taskArn"]
    server.control("ecs/kill_task", {"task": victim})
    wait_until(world.tasks, lambda tasks: len(tasks) == 2 and victim not in [t["taskArn"] for t in tasks])
    wait_until(world.service, lambda s: s["runningCount"] == 2)
    wait_until(world.balancer.states, lambda states: sorted(states.values()) == ["healthy", "healthy"])
    gone = world.ecs.describe_tasks(cluster=world.name, tasks=[victim])["tasks"][0]
    assert (gone["stopCode"], gone["containers"][0]["exitCode"]) == ("EssentialContainerExited", 137)
    # the deployment was complete: a crash later on does not reopen it
    assert world.service()["deployments"][0]["rolloutState"] == "COMPLETED"


def test_a_container_that_exits_by_itself_is_replaced(world: EcsWorld) -> None:
    world.create(world.define("one"), count=1)
    world.steady()
    first = world.tasks()[0]
    with pytest.raises((OSError, Exception)):
        ask(port_of(first), "/exit")
    wait_until(world.tasks, lambda tasks: tasks and tasks[0]["taskArn"] != first["taskArn"])
    wait_until(lambda: ask(world.balancer.port)[0], lambda status: status == 200)


def test_desired_count_scales_without_a_deployment_or_a_lost_request(world: EcsWorld) -> None:
    world.create(world.define("one"), count=1)
    world.steady()
    with Load(world.balancer.port) as load:
        for count in (3, 1):
            world.ecs.update_service(cluster=world.name, service="web", desiredCount=count)
            wait_until(world.balancer.states, lambda s, n=count: list(s.values()) == ["healthy"] * n)  # type: ignore[misc]
            wait_until(world.service, lambda s, n=count: s["runningCount"] == n)  # type: ignore[misc]
    assert load.failures == []
    assert len(world.deployments()) == 1


def test_a_task_has_its_environment_port_and_endpoint(world: EcsWorld, server: LocalAws) -> None:
    world.create(world.define("one", OWN="value", PORT="8080"), count=2)
    world.steady()
    for task in world.tasks():
        environment = seen(port_of(task))["environment"]
        assert environment["PORT"] == str(port_of(task))
        assert (environment["OWN"], environment["HOST"]) == ("value", "127.0.0.1")
        assert environment["AWS_ENDPOINT_URL"] == server.endpoint
    assert len({port_of(task) for task in world.tasks()}) == 2


def test_a_task_definition_tells_its_tags_when_asked(world: EcsWorld) -> None:
    definition = world.ecs.describe_task_definition(taskDefinition=world.define("one"))["taskDefinition"]
    given = {name: definition[name] for name in ("family", "containerDefinitions")}
    tags = [{"key": "rollout", "value": "rollout-0a1b-g1"}]
    tagged = world.ecs.register_task_definition(**given, tags=tags)["taskDefinition"]
    told = world.ecs.describe_task_definition(taskDefinition=tagged["taskDefinitionArn"], include=["TAGS"])
    assert told["tags"] == tags
    assert told["taskDefinition"]["revision"] == definition["revision"] + 1
    assert told["taskDefinition"]["registeredAt"] > definition["registeredAt"]
    assert "tags" not in world.ecs.describe_task_definition(taskDefinition=tagged["taskDefinitionArn"])


def test_task_definitions_are_listed_from_old_to_new_or_the_other_way(world: EcsWorld) -> None:
    made = [world.define("one"), world.define("two")]
    listed = world.ecs.list_task_definitions(familyPrefix=world.name)["taskDefinitionArns"]
    assert [name.rpartition("/")[2] for name in listed] == [name.rpartition("/")[2] for name in made]
    newest = world.ecs.list_task_definitions(familyPrefix=world.name, sort="DESC")["taskDefinitionArns"]
    assert newest == listed[::-1]


def test_output_goes_to_the_stream_of_its_task(world: EcsWorld, server: LocalAws) -> None:
    world.create(world.define("speaks"), count=1)
    world.steady()
    stream = f"t/app/{world.tasks()[0]['taskArn'].rpartition('/')[2]}"
    group = f"/ecs/{world.name}"
    logs = server.client("logs")
    events = wait_until(
        lambda: logs.get_log_events(logGroupName=group, logStreamName=stream)["events"], lambda found: found
    )
    assert events[0]["message"] == "speaks listens"


def test_a_task_that_ignores_sigterm_is_killed_after_its_stop_timeout(
    world: EcsWorld, tmp_path: Path
) -> None:
    deaf = tmp_path / "deaf"
    stubborn = (
        "import pathlib, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"pathlib.Path({str(deaf)!r}).touch(); time.sleep(600)"
    )
    registered = world.ecs.register_task_definition(
        family=world.name,
        containerDefinitions=[
            {"name": "app", "image": "x/test:1", "command": ["python", "-c", stubborn], "stopTimeout": 1}
        ],
    )
    definition = registered["taskDefinition"]["taskDefinitionArn"]
    task = world.ecs.run_task(cluster=world.name, taskDefinition=definition)["tasks"][0]["taskArn"]

    def describe() -> dict:  # type: ignore[type-arg]
        return dict(world.ecs.describe_tasks(cluster=world.name, tasks=[task])["tasks"][0])

    wait_until(describe, lambda t: t["lastStatus"] == "RUNNING" and deaf.exists())
    world.ecs.stop_task(cluster=world.name, task=task, reason="test")
    stopped = wait_until(describe, lambda t: t["lastStatus"] == "STOPPED")
    assert (stopped["stopCode"], stopped["stoppedReason"]) == ("UserInitiated", "test")
    assert stopped["containers"][0]["exitCode"] == 137


def test_a_service_without_a_load_balancer_becomes_steady(world: EcsWorld) -> None:
    world.create(world.define("one"), count=1, loadBalancers=[])
    world.steady()
    assert seen(port_of(world.tasks()[0]))["version"] == "one"


def test_a_deleted_service_leaves_no_process(world: EcsWorld) -> None:
    world.create(world.define("one", ODD_NAME=world.name))
    world.steady()
    with pytest.raises(ClientError, match="scaled above 0"):
        world.ecs.delete_service(cluster=world.name, service="web")
    world.ecs.delete_service(cluster=world.name, service="web", force=True)
    wait_until(world.service, lambda s: s["status"] == "INACTIVE")
    assert processes_with(f"ODD_NAME={world.name}") == []
    assert world.balancer.states() == {}
    # the name is free again, and the new service starts without the old one's history
    world.create(world.define("two"), count=1)
    assert len(world.deployments()) == 1
    world.steady()


def test_a_task_of_which_one_container_cannot_start_is_stopped_as_a_whole(world: EcsWorld) -> None:
    task = world.ecs.run_task(cluster=world.name, taskDefinition=half_startable(world))["tasks"][0]
    stopped = wait_until(
        lambda: world.ecs.describe_tasks(cluster=world.name, tasks=[task["taskArn"]])["tasks"][0],
        lambda found: found["lastStatus"] == "STOPPED",
        seconds=20,
    )
    assert stopped["stopCode"] == "TaskFailedToStart"
    assert stopped["stoppedReason"].startswith("CannotStartContainerError: OSError")
    assert "File name too long" in stopped["stoppedReason"]
    assert processes_with(f"ODD_NAME={world.name}") == []


def test_a_roll_to_tasks_that_cannot_start_is_rolled_back(world: EcsWorld) -> None:
    world.create(world.define("one"), count=1)
    world.steady()
    ended = world.ended(world.update(taskDefinition=half_startable(world)))
    assert ended["status"] == "ROLLBACK_SUCCESSFUL"
    assert seen(world.balancer.port)["version"] == "one"
    assert processes_with(f"ODD_NAME={world.name}") == []


def half_startable(world: EcsWorld) -> str:
    """Register a definition whose second container has a name that no folder can have."""
    odd = [{"name": "ODD_NAME", "value": world.name}]
    sleep = {"image": IMAGE, "command": ["sleep", "600"], "environment": odd}
    registered = world.ecs.register_task_definition(
        family=f"{world.name}-half",
        containerDefinitions=[{"name": "app", **sleep}, {"name": "x" * 300, **sleep}],
    )
    return str(registered["taskDefinition"]["taskDefinitionArn"])


def test_what_is_not_there_is_named(world: EcsWorld) -> None:
    with pytest.raises(world.ecs.exceptions.ClusterNotFoundException):
        world.ecs.list_services(cluster="none")
    with pytest.raises(world.ecs.exceptions.ServiceNotFoundException):
        world.ecs.update_service(cluster=world.name, service="none", desiredCount=1)
    failures = world.ecs.describe_services(cluster=world.name, services=["none"])["failures"]
    assert [failure["reason"] for failure in failures] == ["MISSING"]
    lonely = world.balancer.add_group(f"{world.name}-lonely")
    with pytest.raises(world.ecs.exceptions.InvalidParameterException, match="associated load balancer"):
        world.create(world.define("one"), loadBalancers=[{"targetGroupArn": lonely, "containerName": "app"}])


def processes_with(variable: str) -> list[int]:
    """Pids of the containers whose environment holds ``NAME=value``."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                if variable.encode() in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
            except OSError:
                continue
    return found
