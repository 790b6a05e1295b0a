"""Rollouts of a service that a person deletes meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from botocore.exceptions import ClientError

from include.aws.clients import client
from include.aws.rollouts import Rollouts
from include.contracts.errors import InputError
from nexus_airflow.triggers.rollout import RolloutTrigger
from tests.dags.conftest import Task, first_event
from tests.dags.rollouts import (
    Waiting,
    deleted,
    die,
    ended,
    rollout,
    rollouts_of,
    started_by_a_colleague,
)


def test_a_deleted_service_is_reported_as_deleted_by_trigger_and_task(service: Any) -> None:
    Task("one").run(rollout(service, "one"))
    two = Waiting(service, "two", "two")
    deleted(service)
    assert two.status() == "INACTIVE"
    two.operator.on_kill()
    ended("two")
    serving, arguments = service.serving, two.arguments
    trigger = RolloutTrigger(
        serving.cluster, serving.service, arguments["deployment"], 0.1, arguments["record"]["deadline"]
    )
    event = asyncio.run(first_event(trigger))
    assert event == {"state": "failed", "reason": "the service was deleted"}
    asyncio.run(trigger.on_kill())
    with pytest.raises(AirflowFailException, match=r"the service was deleted; nothing serves.*clear this"):
        two.finish()


@pytest.mark.parametrize("started", [False, True])
def test_a_retry_does_not_create_a_service_again_that_a_person_deleted(
    service: Any, started: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    Task("one").run(rollout(service, "one"))
    task, two = Task("two"), rollout(service, "two")
    with monkeypatch.context() as patch, pytest.raises((ConnectionError, TaskDeferred)):
        if not started:
            patch.setattr(Rollouts, "start", die)
        two.execute(task.context(two))
    deleted(service)
    with pytest.raises(AirflowFailException, match=r"the service was deleted; nothing serves.*clear this"):
        rollout(service, "two").execute(task.context(two))
    assert rollouts_of(service).service_status() == "INACTIVE"
    task.clear()
    assert task.run(rollout(service, "two"))["previous_task_definition"] == ""


def test_a_retry_does_not_create_the_service_again_that_its_first_try_created(service: Any) -> None:
    first = Waiting(service, "one", "one")
    deleted(service)
    with pytest.raises(AirflowFailException, match="the service was deleted; nothing serves"):
        first.operator.execute(first.task.context(first.operator))
    assert rollouts_of(service).service_status() == "INACTIVE"


def test_a_service_that_is_deleted_while_a_rollout_is_started_is_not_created_again(
    service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    Task("one").run(rollout(service, "one"))
    task, two = Task("two"), rollout(service, "two")
    steady = Rollouts.steady

    def deleted_meanwhile(rollouts: Rollouts) -> str:
        found = steady(rollouts)
        deleted(service)
        return found

    with monkeypatch.context() as patch, pytest.raises(ClientError, match="ServiceNot"):
        patch.setattr(Rollouts, "steady", deleted_meanwhile)
        two.execute(task.context(two))
    with pytest.raises(AirflowFailException, match="the service was deleted; nothing serves"):
        two.execute(task.context(two))
    assert rollouts_of(service).service_status() == "INACTIVE"


def test_a_first_try_that_started_nothing_is_repeated(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    task, one = Task("one"), rollout(service, "one")
    with monkeypatch.context() as patch, pytest.raises(ConnectionError):
        patch.setattr(Rollouts, "start", die)
        one.execute(task.context(one))
    assert task.run(rollout(service, "one"))["previous_task_definition"] == ""


def test_a_deployment_of_a_service_that_was_created_again_meanwhile_is_named(service: Any) -> None:
    Task("one").run(rollout(service, "one"))
    two = Waiting(service, "two", "two")
    deleted(service)
    started_by_a_colleague(service, "colleague")
    two.operator.on_kill()
    with pytest.raises(InputError, match=r"no such deployment.*may have been deleted and created again"):
        two.finish()


def test_a_service_that_was_deleted_while_it_rolled_is_reported_as_deleted(service: Any) -> None:
    Task("one").run(rollout(service, "one"))
    two = Waiting(service, "two", "two")
    ecs, serving = client("ecs"), service.serving
    ecs.delete_service(cluster=serving.cluster, service=serving.service, force=True)
    with pytest.raises(
        AirflowFailException, match=r"the service (is being|was) deleted; nothing serves"
    ) as error:
        two.finish()
    assert "serves on" not in str(error.value) and "newer deployment" not in str(error.value)
    assert "clear this task to create the service again" in str(error.value)
    two.task.clear()  # while ECS may still drain it
    assert two.task.run(rollout(service, "two"))["previous_task_definition"] == ""
