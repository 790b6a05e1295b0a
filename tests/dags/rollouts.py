"""A service behind a load balancer and its rollouts, for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from include.aws.clients import client
from include.aws.ecs import task_definition
from include.aws.rollouts import Rollouts
from include.contracts.manifests import ParentRef
from nexus_airflow.listeners.jobs import on_task_instance_failed
from nexus_airflow.operators.ecs_rollout import EcsServiceRolloutOperator
from tests.dags.conftest import Task
from tests.support.waiting import wait_until


@contextmanager
def running_service(aws: Any, settings_file: Any) -> Iterator[Any]:
    """A cluster and a load balancer, as the serving stack makes them."""
    serving, elbv2, ecs = settings_file.serving, aws.client("elbv2"), aws.client("ecs")
    ecs.create_cluster(clusterName=serving.cluster)
    group = elbv2.create_target_group(
        Name=serving.target_group,
        Protocol="HTTP",
        Port=8080,
        VpcId="vpc-1",
        TargetType="ip",
        HealthCheckPath=serving.health_check_path,
        HealthCheckIntervalSeconds=5,
        HealthCheckTimeoutSeconds=2,
        HealthyThresholdCount=2,
    )["TargetGroups"][0]["TargetGroupArn"]
    balancer = elbv2.create_load_balancer(Name=serving.load_balancer, Subnets=["subnet-a", "subnet-b"])
    elbv2.create_listener(
        LoadBalancerArn=balancer["LoadBalancers"][0]["LoadBalancerArn"],
        Protocol="HTTP",
        Port=serving.listener_port,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
    )
    yield settings_file
    if rollouts_of(settings_file).service_status() == "ACTIVE":
        delete(settings_file)


def delete(settings: Any) -> None:
    """Delete the service as a person does, past this project."""
    serving = settings.serving
    client("ecs").delete_service(cluster=serving.cluster, service=serving.service, force=True)


def deleted(settings: Any) -> None:
    """Delete the service, and wait until ECS has forgotten it."""
    delete(settings)
    wait_until(rollouts_of(settings).service_status, lambda status: status == "INACTIVE")


def rollout(settings: Any, model: str) -> EcsServiceRolloutOperator:
    definition = task_definition(settings, ParentRef(f"s3://models-bucket/{model}/manifest.json", "a" * 64))
    definition["containerDefinitions"][0]["command"] = ["python", "-m", "tests.dags.container"]
    return EcsServiceRolloutOperator(task_id="rollout", task_definition=definition)


class Waiting:
    """A rollout that was started and is waited for by nobody: its trigger is not taken up."""

    def __init__(self, settings: Any, name: str, model: str) -> None:
        self.operator, self.task = rollout(settings, model), Task(name)
        with pytest.raises(TaskDeferred) as deferred:
            self.operator.execute(self.task.context(self.operator))
        self.trigger, self.arguments = deferred.value.trigger, deferred.value.kwargs or {}
        self.rollouts = Rollouts(settings.serving.cluster, settings.serving.service)

    def status(self) -> str:
        return self.rollouts.look(self.arguments["deployment"]).status

    def kill_trigger(self) -> None:
        """Do what the triggerer does when a user ends the deferred task."""
        asyncio.run(self.trigger.on_kill())

    def ends(self) -> str:
        return wait_until(self.status, lambda status: status.endswith(("SUCCESSFUL", "STOPPED", "FAILED")))

    def finish(self) -> Any:
        return self.operator.finish(self.task.context(self.operator), **self.arguments, event={})


def ended(name: str, state: str = "failed", **more: Any) -> None:
    """Airflow tells of a rollout task of the run ``name``, as the API server and the scheduler do."""
    told = {"dag_id": "tests", "run_id": name, "task_id": "rollout", "map_index": -1, "state": state} | more
    on_task_instance_failed(None, SimpleNamespace(operator="EcsServiceRolloutOperator", **told), None)


def started_by_a_colleague(settings: Any, model: str) -> str:
    """Roll out a revision as a person does, past this project; return its task definition."""
    definition = rollout(settings, model).task_definition
    arn, _ = rollouts_of(settings).register(definition, "a colleague")
    rollouts_of(settings).start(settings, arn)
    return arn


def rollouts_of(settings: Any) -> Rollouts:
    return Rollouts(settings.serving.cluster, settings.serving.service)


def die(*_: Any, **__: Any) -> None:
    """Stand in for the step in which the worker is lost."""
    raise ConnectionError("the worker is lost")
