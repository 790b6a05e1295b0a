"""EcsServiceRolloutOperator against services that really run behind a load balancer."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from include.aws.clients import client
from include.aws.rollouts import Rollouts
from include.checks.endpoint import EndpointFailed, ask
from nexus_airflow.errors import TaskEnded
from tests.dags.conftest import Task
from tests.dags.rollouts import (
    Waiting,
    die,
    ended,
    rollout,
    rollouts_of,
    started_by_a_colleague,
)
from tests.support.waiting import wait_until


class Load:
    """Requests one after the other until told to stop; counts which model answered."""

    def __init__(self, endpoint: str) -> None:
        self.answers: Counter[str] = Counter()
        self._endpoint = endpoint
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.02):
            try:
                self.answers[ask(self._endpoint, "x", 1, 10)["model"]] += 1
            except EndpointFailed as error:
                self.answers[f"failed: {error}"] += 1


def test_first_rollout_creates_the_service_and_the_next_one_replaces_it(service: Any) -> None:
    endpoint = service.serving.endpoint_url
    first = Task("first").run(rollout(service, "one"))
    assert first["revision"].endswith(":1")
    assert ask(endpoint, "x", 1)["model"] == "s3://models-bucket/one/"
    with Load(endpoint) as load:
        second = Task("second").run(rollout(service, "two"))
    assert second["deployment_id"] != first["deployment_id"]
    assert first["previous_task_definition"] == ""
    assert second["previous_task_definition"] == first["task_definition"]
    assert ask(endpoint, "x", 1)["model"] == "s3://models-bucket/two/"
    assert set(load.answers) <= {"s3://models-bucket/one/", "s3://models-bucket/two/"}


def test_a_revision_that_never_becomes_healthy_fails_with_the_reason_while_the_old_one_answers(
    service: Any,
) -> None:
    Task("good").run(rollout(service, "good"))
    with (
        Load(service.serving.endpoint_url) as load,
        pytest.raises(AirflowFailException, match=r"the old revision \S+:1 serves on.*circuit breaker"),
    ):
        Task("bad").run(rollout(service, "broken"))
    assert load.answers.total() > 10
    assert set(load.answers) == {"s3://models-bucket/good/"}


def test_a_retry_attaches_to_the_rollout_that_was_started(service: Any) -> None:
    task = Task("retried")
    first = task.run(rollout(service, "one"))
    assert task.run(rollout(service, "one")) == first


def test_marked_failed_between_trigger_and_worker_it_goes_back_to_the_old_revision(service: Any) -> None:
    before = Task("one").run(rollout(service, "one"))
    two = Waiting(service, "two", "two")
    ended("two", "up_for_retry")
    assert two.status() == "IN_PROGRESS"  # the retry attaches to it
    ended("two")
    assert two.ends() == "ROLLBACK_SUCCESSFUL"
    assert two.rollouts.steady() == before["task_definition"]
    assert ask(service.serving.endpoint_url, "x", 1)["model"] == "s3://models-bucket/one/"
    ended("two")  # over already: no error
    with pytest.raises(AirflowFailException, match=r"the old revision \S+:1 serves on"):
        two.finish()


def test_at_its_deadline_it_goes_back_to_the_old_revision(service: Any) -> None:
    Task("one").run(rollout(service, "one"))
    two = Waiting(service, "two", "two")
    two.arguments["record"]["deadline"] = 0.0
    with pytest.raises(AirflowFailException, match=r"it is being rolled back; the old revision \S+:1 serves"):
        two.finish()
    assert two.ends() == "ROLLBACK_SUCCESSFUL"


def test_the_deployment_of_another_task_is_left_alone(service: Any) -> None:
    ended("one")  # there is no service yet
    one = Task("one").run(rollout(service, "one"))
    two = Waiting(service, "two", "two")
    ended("one")
    ended("two", task_id="smoke_test")
    ended("two", dag_id="others")
    assert two.ends() == "SUCCESSFUL"
    assert two.finish()["previous_task_definition"] == one["task_definition"]


def test_whoever_goes_back_to_the_revision_of_a_task_is_not_stopped_with_it(service: Any) -> None:
    """As a smoke test does, or a person."""
    one = Task("one").run(rollout(service, "one"))
    two = Waiting(service, "two", "two")
    two.ends()
    two.rollouts.start(service, one["task_definition"])
    ended("one")
    ecs, serving = client("ecs"), service.serving
    newest = ecs.list_service_deployments(cluster=serving.cluster, service=serving.service)
    assert newest["serviceDeployments"][0]["status"] == "IN_PROGRESS"


def test_a_deployment_that_goes_back_already_is_not_stopped_again(service: Any) -> None:
    Task("one").run(rollout(service, "one"))
    two = Waiting(service, "two", "two")
    two.kill_trigger()
    assert two.status() == "ROLLBACK_IN_PROGRESS"
    two.kill_trigger()
    ended("two")
    assert two.ends() == "ROLLBACK_SUCCESSFUL"


def test_a_retry_takes_no_deployment_that_somebody_else_started(
    service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker died after it had registered its revision and before it rolled it out."""
    Task("one").run(rollout(service, "one"))
    task, two = Task("two"), rollout(service, "two")

    with monkeypatch.context() as patch, pytest.raises(ConnectionError):
        patch.setattr(Rollouts, "start", die)
        two.execute(task.context(two))
    colleagues = started_by_a_colleague(service, "colleague")
    output = task.run(rollout(service, "two"))
    assert output["task_definition"] != colleagues
    assert rollouts_of(service).steady() == output["task_definition"]
    assert ask(service.serving.endpoint_url, "x", 1)["model"] == "s3://models-bucket/two/"


def test_mark_failed_leaves_the_deployment_of_a_colleague_alone(service: Any) -> None:
    Task("one").run(rollout(service, "one"))
    two = Waiting(service, "two", "two")
    colleagues = started_by_a_colleague(service, "colleague")  # stops that of the task
    ended("two")
    two.kill_trigger()
    assert two.status() == "STOPPED"
    with pytest.raises(AirflowFailException, match=r"\S+:1 serves, and somebody is rolling out \S+:3"):
        two.finish()
    until_served = f"s3://models-bucket/{'colleague'}/"
    wait_until(
        lambda: ask(service.serving.endpoint_url, "x", 1)["model"], lambda model: model == until_served
    )
    wait_until(rollouts_of(service).steady, lambda steady: steady == colleagues)


@pytest.mark.parametrize(("model", "ends"), [("two", "SUCCESSFUL"), ("broken", "ROLLBACK_SUCCESSFUL")])
def test_a_rollout_during_that_of_a_colleague_goes_back_to_the_revision_that_was_steady_last(
    service: Any, model: str, ends: str
) -> None:
    one = Task("one").run(rollout(service, "one"))
    colleagues = started_by_a_colleague(service, "broken")
    assert rollouts_of(service).target() == colleagues
    two = Waiting(service, model, model)
    assert two.arguments["record"]["previous"] == one["task_definition"] == two.rollouts.steady()
    assert two.ends() == ends
    if ends == "SUCCESSFUL":
        assert two.finish()["previous_task_definition"] == one["task_definition"]
    else:
        with pytest.raises(AirflowFailException, match=r"the old revision \S+:1 serves on"):
            two.finish()


def test_the_steady_revision_is_known_while_it_has_no_tasks(service: Any) -> None:
    """ECS lists an old deployment only while it has tasks; the history has it for longer."""
    one = Task("one").run(rollout(service, "one"))
    two = Waiting(service, "two", "two")
    rollouts, ecs = two.rollouts, client("ecs")

    class Forgetful:
        def __getattr__(self, name: str) -> Any:
            return getattr(ecs, name)

        def describe_services(self, **request: Any) -> Any:
            answer = ecs.describe_services(**request)
            answer["services"][0]["deployments"] = answer["services"][0]["deployments"][:1]
            return answer

    serving = service.serving
    assert Rollouts(serving.cluster, serving.service, Forgetful()).steady() == one["task_definition"]
    assert two.ends() == "SUCCESSFUL"
    assert rollouts.steady() == two.finish()["task_definition"]


def test_deployments_are_looked_up_within_bounds_among_hundreds(service: Any) -> None:
    ecs, serving = client("ecs"), service.serving
    rollouts, names = rollouts_of(service), {"cluster": serving.cluster, "service": serving.service}
    definition = rollout(service, "one").task_definition
    first, first_since = rollouts.register(definition, "first")
    ecs.create_service(
        cluster=serving.cluster, serviceName=serving.service, taskDefinition=first, desiredCount=0
    )
    for _ in range(150):
        ecs.update_service(**names, forceNewDeployment=True)
    time.sleep(1.1)  # filters have whole seconds
    newest, since = rollouts.register(definition, "newest")
    ecs.update_service(**names, taskDefinition=newest)
    calls: Counter[str] = Counter()

    def count(model: Any, **_: Any) -> None:
        calls[model.name] += 1

    ecs.meta.events.register("before-call.ecs", count)
    try:
        assert rollouts.deployment_of(newest, since)
        assert calls == {"DescribeServices": 1, "ListServiceDeployments": 1, "DescribeServiceRevisions": 1}
        calls.clear()
        assert rollouts.deployment_of(first, first_since)
        assert calls == {"DescribeServices": 1, "ListServiceDeployments": 2, "DescribeServiceRevisions": 1}
        calls.clear()
        rollouts.is_rolling(), rollouts.stop_of("nobody")
        assert calls["ListServiceDeployments"] == 2 and calls["DescribeServiceRevisions"] <= 1
    finally:
        ecs.meta.events.unregister("before-call.ecs", count)


@pytest.mark.parametrize("state", ["failed", "success", "restarting", None])
def test_a_task_that_is_ended_while_it_starts_its_rollout_rolls_it_back(
    service: Any, monkeypatch: pytest.MonkeyPatch, state: str | None
) -> None:
    """Whoever ended it found no deployment to stop."""
    Task("one").run(rollout(service, "one"))
    two, task = rollout(service, "two"), Task("two")
    start = Rollouts.start

    def ended_meanwhile(self: Rollouts, *arguments: Any, **options: Any) -> None:
        task.state = state
        two.on_kill()
        start(self, *arguments, **options)

    monkeypatch.setattr(Rollouts, "start", ended_meanwhile)
    with pytest.raises(TaskEnded, match="is being rolled back"):
        two.execute(task.context(two))
    wait_until(lambda: newest_status(service), lambda status: status.startswith(("ROLLBACK", "STOPPED")))


def test_the_shutdown_of_a_worker_leaves_its_rollout_to_the_trigger(
    service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    Task("one").run(rollout(service, "one"))
    two, task = rollout(service, "two"), Task("two")
    two.on_kill()
    output = task.run(two)
    assert output["task_definition"] == rollouts_of(service).steady()


def newest_status(settings: Any) -> str:
    ecs, serving = client("ecs"), settings.serving
    newest = ecs.list_service_deployments(cluster=serving.cluster, service=serving.service)
    return str(newest["serviceDeployments"][0]["status"])
