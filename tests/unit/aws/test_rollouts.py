"""Deployments that are stopped: those that can be, and no error when somebody else was faster."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from include.aws.rollouts import ROLLOUT_STATES, Rollouts, RolloutState
from include.contracts.manifests import ParentRef

STOPPABLE = {"PENDING", "IN_PROGRESS"}


class _Ecs:
    """A deployment in ``status``; stopping it is answered with ``error``, if there is one."""

    def __init__(self, status: str, error: str = "") -> None:
        self._status, self._error = status, error
        self.stopped: list[str] = []

    def describe_service_deployments(self, **_: Any) -> dict[str, Any]:
        return {"serviceDeployments": [{"serviceDeploymentArn": "arn:d", "status": self._status}]}

    def stop_service_deployment(self, **request: str) -> None:
        if self._error:
            raise ClientError({"Error": {"Code": self._error, "Message": "x"}}, "StopServiceDeployment")
        self.stopped.append(request["stopType"])


@pytest.mark.parametrize("status", ROLLOUT_STATES)
def test_what_is_over_or_goes_back_already_is_not_stopped(status: str) -> None:
    ecs = _Ecs(status)
    Rollouts("cluster", "service", ecs).stop("arn:d")
    assert ecs.stopped == (["ROLLBACK"] if status in STOPPABLE else [])
    assert status not in STOPPABLE or ROLLOUT_STATES[status] is RolloutState.ACTIVE


def test_a_deployment_that_somebody_else_stopped_in_between_is_no_error() -> None:
    Rollouts("cluster", "service", _Ecs("IN_PROGRESS", "ConflictException")).stop("arn:d")
    with pytest.raises(ClientError, match="AccessDenied"):
        Rollouts("cluster", "service", _Ecs("IN_PROGRESS", "AccessDeniedException")).stop("arn:d")


class _Definitions:
    """A task definition with these environment variables."""

    def __init__(self, **environment: str) -> None:
        self._container: dict[str, Any] = {"name": "serving"}
        if environment:
            entries = [{"name": name, "value": value} for name, value in environment.items()]
            self._container["environment"] = entries

    def describe_task_definition(self, **_: str) -> dict[str, Any]:
        return {"taskDefinition": {"containerDefinitions": [self._container]}}


@pytest.mark.parametrize("uri", ["s3://models/runs/r/x/", "s3://models/runs/r/x"])
@pytest.mark.parametrize("more", [{}, {"OTHER": "1"}])
def test_a_task_definition_names_its_model(uri: str, more: dict[str, str]) -> None:
    definitions = _Definitions(MODEL_URI=uri, MODEL_MANIFEST_SHA256="abc", **more)
    found = Rollouts("cluster", "service", definitions).model_of("arn:t")
    assert found == ParentRef("s3://models/runs/r/x/manifest.json", "abc")


@pytest.mark.parametrize(
    "environment", [{}, {"MODEL_URI": "s3://models/x/"}, {"MODEL_MANIFEST_SHA256": "abc"}]
)
def test_a_task_definition_of_something_else_names_no_model(environment: dict[str, str]) -> None:
    assert Rollouts("cluster", "service", _Definitions(**environment)).model_of("arn:t") is None
