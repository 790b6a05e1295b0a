"""The policies of the repository: within IAM's limits and the boundary, scoped, and each with a reason."""

from __future__ import annotations

import fnmatch
import json
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import cfnlint
import pytest

from infrastructure.cloudformation.check import ANY_PLACE
from infrastructure.cloudformation.environments import FOLDER, read_environment

Statements = list[dict[str, Any]]
_MANAGED_LIMIT, _INLINE_LIMIT = 6_144, 10_240
#: cfn-lint knows a resource type of this action that has nothing to do with metrics of a namespace.
_UNSCOPED = {"cloudwatch:PutMetricData"}
_DATA = Path(cfnlint.__file__).parent / "data" / "AdditionalSpecs" / "Policies.json"


@cache
def _policies() -> dict[str, list[dict[str, Any]]]:
    """Return the documents of each role and managed policy, by ``<template>.<logical id>``."""
    found = {}
    for stack in read_environment("dev", ANY_PLACE).stacks:
        for name, resource in stack.resources.items():
            if resource.type == "AWS::IAM::ManagedPolicy":
                found[f"{stack.template.name}.{name}"] = [resource.properties["PolicyDocument"]]
            elif resource.type == "AWS::IAM::Role":
                inline = resource.properties.get("Policies", [])
                found[f"{stack.template.name}.{name}"] = [each["PolicyDocument"] for each in inline]
    return found


def _statements(name: str) -> Statements:
    return [statement for document in _policies()[name] for statement in document["Statement"]]


def _actions(statement: dict[str, Any]) -> list[str]:
    actions = statement["Action"]
    return [actions] if isinstance(actions, str) else actions


def _granted() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the statements of all policies below the boundary, which the stack network comes before."""
    for name in _policies():
        if name.startswith("access") and name != "access.Boundary":
            yield from ((name, statement) for statement in _statements(name))


@cache
def _resource_types() -> dict[str, list[str]]:
    """Return the resource types of each action, by its name in lower case."""
    known = json.loads(_DATA.read_text())
    return {
        f"{service}:{action}": types.get("Resources") or []
        for service, entry in known.items()
        for action, types in entry["Actions"].items()
    }


def test_policies_are_within_the_limits_of_iam() -> None:
    for name, documents in _policies().items():
        size = sum(len(json.dumps(document, separators=(",", ":"))) for document in documents)
        assert size <= (_MANAGED_LIMIT if name.endswith(("Policy", "Boundary")) else _INLINE_LIMIT), name


def test_every_statement_says_in_its_sid_what_it_is_for() -> None:
    for name in _policies():
        sids = [statement.get("Sid") for statement in _statements(name)]
        assert None not in sids and len(sids) == len(set(sids)), name


def test_the_boundary_allows_exactly_the_actions_that_policies_grant() -> None:
    limits = [action for statement in _statements("access.Boundary") for action in _actions(statement)]
    granted = {action for _, each in _granted() for action in _actions(each)}
    outside = {action for action in granted if not any(fnmatch.fnmatch(action, limit) for limit in limits)}
    unused = {limit for limit in limits if not any(fnmatch.fnmatch(action, limit) for action in granted)}
    assert (outside, unused) == (set(), set())


def test_all_resources_are_named_only_for_actions_without_resource_types() -> None:
    wide = [
        (name, statement["Sid"], action)
        for name, statement in _granted()
        if statement["Resource"] == "*"
        for action in _actions(statement)
        if "*" in action or (_resource_types()[action.lower()] and action not in _UNSCOPED)
    ]
    assert wide == []


def test_what_names_all_resources_has_a_condition() -> None:
    wide = [
        (name, each["Sid"])
        for name, each in _granted()
        if each["Resource"] == "*" and "Condition" not in each
    ]
    assert wide == []


def test_actions_without_resource_types_are_not_limited_to_resources_that_they_never_have() -> None:
    never = [
        (name, statement["Sid"], action)
        for name, statement in _granted()
        if statement["Resource"] != "*"
        for action in _actions(statement)
        if "*" not in action and not _resource_types()[action.lower()]
    ]
    assert never == []


@pytest.mark.parametrize("call", tomllib.loads((FOLDER / "service_calls.toml").read_text())["call"], ids=str)
def test_the_table_of_calls_by_services_names_what_the_policies_have(call: dict[str, Any]) -> None:
    statements = {each["Sid"]: each for each in _statements(call["policy"])}
    assert set(call["statements"]) <= statements.keys()
    allowed = {action for sid in call["statements"] for action in _actions(statements[sid])}
    assert set(call.get("actions", ())) <= allowed
    assert call["source"].startswith("https://docs.aws.amazon.com/")


def test_only_services_that_send_no_source_are_trusted_without_it() -> None:
    sends = tomllib.loads((FOLDER / "service_calls.toml").read_text())["trust"]
    for stack in read_environment("dev", ANY_PLACE).stacks:
        for role in stack.of_type("AWS::IAM::Role"):
            if not stack.template.name.startswith("access"):
                continue
            for statement in role.properties["AssumeRolePolicyDocument"]["Statement"]:
                services = statement["Principal"]["Service"]
                for service in [services] if isinstance(services, str) else services:
                    assert sends[service] == ("Condition" in statement), (role.logical_id, service)
