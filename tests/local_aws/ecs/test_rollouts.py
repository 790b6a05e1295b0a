"""Rolling deployments under load: what clients see, and what the Describe calls say meanwhile."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local_aws.elbv2.worlds import EcsWorld, Load, seen
from tests.support.waiting import wait_until

NO_BREAKER = {"deploymentCircuitBreaker": {"enable": False, "rollback": False}}


class Watch:
    """Notes every state of ``deployments`` until it is closed."""

    def __init__(self, world: EcsWorld) -> None:
        self._world = world
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.services: list[dict[str, Any]] = []

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(0.02):
            self.services.append(self._world.service())


def looks_stable(service: dict[str, Any]) -> bool:
    """Tell whether the waiter services_stable would return."""
    return len(service["deployments"]) == 1 and service["runningCount"] == service["desiredCount"]


def test_a_rollout_under_load_loses_no_request(world: EcsWorld) -> None:
    world.create(world.define("one"))
    world.steady()
    before = {task["taskArn"] for task in world.tasks()}
    with Load(world.balancer.port) as load, Watch(world) as watch:
        wait_until(lambda: load.versions["one"], lambda n: n > 20)
        ended = world.ended(world.update(taskDefinition=world.define("two")))
        wait_until(lambda: load.versions["two"], lambda n: n > 20)
        wait_until(lambda: watch.services[-1], looks_stable)
    assert load.failures == []
    assert set(load.versions) == {"one", "two"}
    assert ended["status"] == "SUCCESSFUL"
    assert not before & {task["taskArn"] for task in world.tasks()}
    final = world.steady()["deployments"][0]["id"]
    for service in watch.services:
        if looks_stable(service):
            first = service["deployments"][0]
            assert first["rolloutState"] == "COMPLETED", first
        # never fewer than all, never more than twice as many
        running = service["runningCount"]
        assert 2 <= running <= 4, service["deployments"]
    # between the old revision and the new one, nothing looked finished
    states = [(looks_stable(s), s["deployments"][0]["id"] == final) for s in watch.services]
    assert [s for i, s in enumerate(states) if i == 0 or states[i - 1] != s] == [
        (True, False),
        (False, True),
        (True, True),
    ]


def test_a_revision_that_never_gets_healthy_is_rolled_back(world: EcsWorld) -> None:
    world.create(world.define("good"))
    stable = world.steady()["deployments"][0]["id"]
    before = {task["taskArn"] for task in world.tasks()}
    with Load(world.balancer.port) as load, Watch(world) as watch:
        ended = world.ended(world.update(taskDefinition=world.define("bad", HEALTH="503")))
    assert load.failures == []
    assert set(load.versions) == {"good"}
    assert ended["status"] == "ROLLBACK_SUCCESSFUL"
    breaker = ended["deploymentCircuitBreaker"]
    assert (breaker["status"], breaker["threshold"]) == ("TRIGGERED", 3)
    assert breaker["failureCount"] >= 3  # the look that triggers may find two tasks failed at once
    assert "circuit breaker" in ended["rollback"]["reason"]
    after = world.steady()
    assert after["deployments"][0]["id"] == stable
    assert after["taskDefinition"] == after["deployments"][0]["taskDefinition"]
    assert {task["taskArn"] for task in world.tasks()} == before
    failed = [
        d
        for s in watch.services
        for d in s["deployments"]
        if d["id"] != stable and d["rolloutState"] == "FAILED"
    ]
    assert "tasks failed to start" in failed[0]["rolloutStateReason"]
    assert not any(looks_stable(s) and s["deployments"][0]["id"] != stable for s in watch.services)
    assert sum("failed ELB health checks" in task["stoppedReason"] for task in world.tasks("STOPPED")) >= 3
    source, target = ended["sourceServiceRevisions"][0]["arn"], ended["targetServiceRevision"]["arn"]
    revisions = world.ecs.describe_service_revisions(serviceRevisionArns=[source, target])["serviceRevisions"]
    assert [r["taskDefinition"].rpartition(":")[2] for r in revisions] == ["1", "2"]
    assert ended["rollback"]["serviceRevisionArn"] == source


def test_a_revision_that_crashes_is_rolled_back(world: EcsWorld) -> None:
    world.create(world.define("good"), count=1)
    world.steady()
    ended = world.ended(world.update(taskDefinition=world.define("bad", CRASH="1")))
    assert ended["status"] == "ROLLBACK_SUCCESSFUL"
    stopped = world.tasks("STOPPED")
    assert {(t["stopCode"], t["containers"][0]["exitCode"]) for t in stopped} == {
        ("EssentialContainerExited", 1)
    }


def test_an_image_that_nothing_stands_for_is_rolled_back(world: EcsWorld) -> None:
    world.create(world.define("good"), count=1)
    world.steady()
    containers = [{"name": "app", "image": "unknown:1", "command": ["true"]}]
    registered = world.ecs.register_task_definition(family=world.name, containerDefinitions=containers)
    arn = registered["taskDefinition"]["taskDefinitionArn"]
    assert world.ended(world.update(taskDefinition=arn))["status"] == "ROLLBACK_SUCCESSFUL"
    assert world.tasks("STOPPED")[0]["stoppedReason"].startswith("CannotPullContainerError")


def test_the_first_deployment_has_nothing_to_roll_back_to(world: EcsWorld) -> None:
    world.create(world.define("bad", CRASH="1"))
    ended = world.ended(world.deployments()[0])
    assert ended["status"] == "ROLLBACK_FAILED"
    assert world.service()["deployments"][0]["rolloutState"] == "FAILED"
    # a better revision can still be deployed
    assert world.ended(world.update(taskDefinition=world.define("good")))["status"] == "SUCCESSFUL"
    assert seen(world.balancer.port)["version"] == "good"


def test_without_a_breaker_it_keeps_trying_and_a_fix_ends_it(world: EcsWorld) -> None:
    world.create(world.define("good"), count=1, deploymentConfiguration=NO_BREAKER)
    world.steady()
    with Load(world.balancer.port) as load:
        stuck = world.update(taskDefinition=world.define("bad", CRASH="1"))
        wait_until(lambda: world.tasks("STOPPED"), lambda tasks: len(tasks) >= 4)
        assert world.deployment(stuck)["status"] == "IN_PROGRESS"
        fixed = world.update(taskDefinition=world.define("fixed"))
        assert world.ended(fixed)["status"] == "SUCCESSFUL"
    assert world.deployment(stuck)["status"] == "STOPPED"
    assert load.failures == []
    assert set(load.versions) <= {"good", "fixed"}


def test_a_crashed_old_task_is_replaced_while_the_new_revision_is_stuck(world: EcsWorld) -> None:
    world.create(world.define("good"), deploymentConfiguration=NO_BREAKER)
    world.steady()
    world.update(taskDefinition=world.define("bad", CRASH="1"))
    old = [t["taskArn"] for t in world.tasks() if t["taskDefinitionArn"].endswith(":1")]
    world.ecs.stop_task(cluster=world.name, task=old[0])
    wait_until(
        lambda: {t["taskArn"] for t in world.tasks() if t["taskDefinitionArn"].endswith(":1")},
        lambda tasks: len(tasks) == 2 and old[0] not in tasks,
    )


def test_percentages_of_50_and_100_replace_in_place(world: EcsWorld) -> None:
    limits = {"minimumHealthyPercent": 50, "maximumPercent": 100}
    world.create(world.define("one"), deploymentConfiguration=limits)
    world.steady()
    with Load(world.balancer.port) as load, Watch(world) as watch:
        assert world.ended(world.update(taskDefinition=world.define("two")))["status"] == "SUCCESSFUL"
    assert load.failures == []
    assert {s["runningCount"] for s in watch.services} == {1, 2}


def test_the_grace_period_keeps_a_slow_starter_alive(world: EcsWorld) -> None:
    """Unhealthy by the load balancer, and yet not replaced."""
    definition = world.define("slow", HEALTH="503")
    world.create(definition, count=1, healthCheckGracePeriodSeconds=600)
    wait_until(world.balancer.states, lambda states: list(states.values()) == ["unhealthy"])
    only = world.tasks()
    assert len(only) == 1
    world.ecs.update_service(cluster=world.name, service="web", healthCheckGracePeriodSeconds=0)
    wait_until(
        lambda: world.tasks("STOPPED"), lambda tasks: tasks and tasks[0]["taskArn"] == only[0]["taskArn"]
    )


def test_stop_service_deployment_rolls_back(world: EcsWorld) -> None:
    world.create(world.define("good"), healthCheckGracePeriodSeconds=600)
    stable = world.steady()["deployments"][0]["id"]
    started = world.update(taskDefinition=world.define("bad", HEALTH="503"))
    world.ecs.stop_service_deployment(serviceDeploymentArn=started, stopType="ROLLBACK")
    assert world.ended(started)["status"] == "ROLLBACK_SUCCESSFUL"
    assert world.steady()["deployments"][0]["id"] == stable


def definitions(world: EcsWorld, revisions: list[dict[str, Any]]) -> set[str]:
    """Numbers of the task definitions of service revisions."""
    arns = [revision["arn"] for revision in revisions]
    described = world.ecs.describe_service_revisions(serviceRevisionArns=arns)["serviceRevisions"]
    return {revision["taskDefinition"].rpartition(":")[2] for revision in described}


def test_a_rollout_during_a_rollout_goes_back_to_the_revision_that_was_steady_last(world: EcsWorld) -> None:
    world.create(world.define("good"), healthCheckGracePeriodSeconds=600)
    stable = world.steady()["deployments"][0]["id"]
    never_healthy = world.update(taskDefinition=world.define("never healthy", HEALTH="503"))
    wait_until(world.tasks, lambda tasks: any(t["taskDefinitionArn"].endswith(":2") for t in tasks))
    replacing = world.update(taskDefinition=world.define("crashes", CRASH="1"))
    described = world.deployment(replacing)
    assert definitions(world, described["sourceServiceRevisions"]) == {"1", "2"}, "those that still run"
    ended = world.ended(replacing)
    assert ended["status"] == "ROLLBACK_SUCCESSFUL"
    assert definitions(world, [{"arn": ended["rollback"]["serviceRevisionArn"]}]) == {"1"}
    assert world.steady()["deployments"][0]["id"] == stable
    assert world.deployment(never_healthy)["status"] == "STOPPED"


def test_a_rollout_during_a_rollback_goes_back_to_the_revision_that_was_steady_last(world: EcsWorld) -> None:
    world.create(world.define("good"), healthCheckGracePeriodSeconds=600)
    stable = world.steady()["deployments"][0]["id"]
    stopped = world.update(taskDefinition=world.define("stopped", HEALTH="503"))
    wait_until(world.tasks, lambda tasks: any(t["taskDefinitionArn"].endswith(":2") for t in tasks))
    world.ecs.stop_service_deployment(serviceDeploymentArn=stopped, stopType="ROLLBACK")
    replacing = world.update(taskDefinition=world.define("crashes", CRASH="1"))
    states = {
        d["taskDefinition"].rpartition(":")[2]: d["rolloutState"] for d in world.service()["deployments"]
    }
    assert states == {"1": "COMPLETED", "2": "FAILED", "3": "IN_PROGRESS"}
    assert world.ended(replacing)["status"] == "ROLLBACK_SUCCESSFUL"
    assert world.steady()["deployments"][0]["id"] == stable
    assert world.ended(stopped)["status"] == "ROLLBACK_FAILED"


def test_deployments_are_listed_by_status_and_creation_a_page_at_a_time(world: EcsWorld) -> None:
    world.create(world.define("one"), count=1)
    world.steady()
    for _ in range(24):
        world.update(forceNewDeployment=True)
    listing = {"cluster": world.name, "service": "web"}
    first = world.ecs.list_service_deployments(**listing)
    assert len(first["serviceDeployments"]) == 20, "the default of ECS"
    rest = world.ecs.list_service_deployments(**listing, nextToken=first["nextToken"])
    found = [*first["serviceDeployments"], *rest["serviceDeployments"]]
    assert len(found) == 25 and "nextToken" not in rest
    assert len(world.ecs.list_service_deployments(**listing, maxResults=100)["serviceDeployments"]) == 25
    with pytest.raises(ClientError, match="maxResults"):
        world.ecs.list_service_deployments(**listing, maxResults=101)
    oldest = found[-1]["createdAt"]
    after = world.ecs.list_service_deployments(**listing, createdAt={"after": oldest + timedelta(hours=1)})
    before = world.ecs.list_service_deployments(**listing, createdAt={"before": oldest - timedelta(hours=1)})
    both = {"after": oldest - timedelta(hours=1), "before": oldest + timedelta(hours=1)}
    within = world.ecs.list_service_deployments(**listing, createdAt=both, maxResults=100)
    assert after["serviceDeployments"] == before["serviceDeployments"] == []
    assert len(within["serviceDeployments"]) == 25
    successful = world.ecs.list_service_deployments(**listing, status=["SUCCESSFUL"], maxResults=1)
    assert len(successful["serviceDeployments"]) == 1


def test_a_deployment_whose_service_was_deleted_does_not_tell_of_a_newer_one(world: EcsWorld) -> None:
    world.create(world.define("one"), count=1, healthCheckGracePeriodSeconds=600)
    world.steady()
    rolling = world.update(taskDefinition=world.define("two", HEALTH="503"))
    world.ecs.delete_service(cluster=world.name, service="web", force=True)
    described = world.deployment(rolling)
    assert (described["status"], described["statusReason"]) == ("STOPPED", "The service was deleted.")
    wait_until(world.service, lambda service: service["status"] == "INACTIVE")
    answer = world.ecs.describe_service_deployments(serviceDeploymentArns=[rolling])
    assert answer["serviceDeployments"] == []
    assert answer["failures"] == [{"arn": rolling, "reason": "MISSING"}]


def test_force_new_deployment_replaces_equal_tasks(world: EcsWorld) -> None:
    world.create(world.define("one"), count=1)
    world.steady()
    before = world.tasks()[0]["taskArn"]
    assert world.ended(world.update(forceNewDeployment=True))["status"] == "SUCCESSFUL"
    assert world.tasks()[0]["taskArn"] != before
    assert len(world.deployments()) == 2


@pytest.mark.parametrize("strategy", ["CANARY", "BLUE_GREEN", "LINEAR"])
def test_other_strategies_are_refused_by_name(world: EcsWorld, strategy: str) -> None:
    with pytest.raises(ClientError, match=strategy) as refused:
        world.create(world.define("one"), deploymentConfiguration={"strategy": strategy})
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


ALARMS = {"alarmNames": ["too-many-errors"], "enable": True, "rollback": True}
HOOK = {
    "targetType": "PAUSE",
    "hookTargetArn": "arn:aws:lambda:us-east-1:123456789012:function:f",
    "lifecycleStages": ["POST_SCALE_UP"],
}


@pytest.mark.parametrize(
    ("configuration", "why"),
    [
        ({"alarms": ALARMS}, "deploymentConfiguration.alarms yet: no alarm .too-many-errors. would"),
        ({"lifecycleHooks": [HOOK]}, "deploymentConfiguration.lifecycleHooks yet: no deployment would pause"),
        ({"bakeTimeInMinutes": 5}, "deploymentConfiguration.bakeTimeInMinutes yet"),
    ],
)
def test_what_would_be_ignored_is_refused(world: EcsWorld, configuration: dict[str, Any], why: str) -> None:
    with pytest.raises(ClientError, match=why) as refused:
        world.create(world.define("one"), deploymentConfiguration=configuration)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
    world.create(world.define("one"), count=1)
    with pytest.raises(ClientError, match=why):
        world.update(deploymentConfiguration=configuration)


def test_alarms_that_are_switched_off_are_accepted(world: EcsWorld) -> None:
    configuration = {"alarms": ALARMS | {"enable": False}}
    world.create(world.define("one"), count=1, deploymentConfiguration=configuration)
    world.steady()
