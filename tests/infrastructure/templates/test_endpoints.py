"""Jobs that are confined to endpoints have those that they need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from infrastructure.cloudformation.check import ANY_PLACE
from infrastructure.cloudformation.environments import (
    FOLDER,
    environment_names,
    evaluate_environment,
    read_environment,
)
from infrastructure.cloudformation.parameters import stack_parameters
from infrastructure.cloudformation.template import read_template

TEMPLATES = [read_template(FOLDER / f"{name}.yaml") for name in ("keys", "network", "firewall", "endpoints")]
CHOICES = TEMPLATES[-1].parameters["InterfaceEndpoints"]["AllowedValues"]
#: What ECS, Batch and EMR need of AWS's APIs in a private subnet.
NEEDED = {"batch", "ecr.api", "ecr.dkr", "ecs", "kms", "logs"}


def services(choice: str) -> set[str]:
    """Return the services that have an endpoint if ``choice`` is the only one chosen."""
    own: dict[str, Mapping[str, Any]] = {
        "network": {"NatGateways": "none", "FlowLogRetentionDays": 30},
        "firewall": {"JobDestinations": "everything"},
        "endpoints": {"InterfaceEndpoints": [choice]},
    }
    values = {
        each.name: stack_parameters(each, own.get(each.name, {}), "dev", each.name) for each in TEMPLATES
    }
    environment = evaluate_environment("dev", ANY_PLACE, TEMPLATES, values)
    return {
        endpoint.properties["ServiceName"].removeprefix(f"com.amazonaws.{ANY_PLACE.region}.")
        for _, endpoint in environment.of_type("AWS::EC2::VPCEndpoint")
    }


@pytest.mark.parametrize("choice", sorted(set(CHOICES) - {"none"}))
def test_a_choice_brings_its_own_endpoints_and_no_others(choice: str) -> None:
    related = {"ecs": {"ecs", "ecs-agent", "ecs-telemetry"}, "ssm": {"ssm", "ssmmessages"}}
    assert services(choice) == {"s3"} | related.get(choice, {choice})


def test_without_a_choice_there_is_only_the_free_endpoint_of_s3() -> None:
    assert services("none") == {"s3"}


@pytest.mark.parametrize("name", environment_names())
def test_an_environment_that_confines_its_jobs_has_the_endpoints_that_they_need(name: str) -> None:
    parameters = read_environment(name, ANY_PLACE).parameters
    if parameters["firewall"]["JobDestinations"] == "endpoints":
        assert set(parameters["endpoints"]["InterfaceEndpoints"]) >= NEEDED
    else:
        assert parameters["network"]["NatGateways"] != "none"
