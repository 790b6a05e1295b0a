"""The stacks of an environment are evaluated in the order of their imports."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from infrastructure.cloudformation.environments import (
    environment_names,
    evaluate_environment,
    read_environment,
    read_templates,
)
from infrastructure.cloudformation.evaluate import Place
from infrastructure.cloudformation.template import Template, TemplateError, parse_template

PLACE = Place("111122223333", "us-east-1", ("us-east-1a", "us-east-1b", "us-east-1c"))


def template(name: str, imports: str = "", exports: str = "") -> Template:
    text = "Parameters: {Environment: {Type: String}}\nResources:\n  Thing:\n    Type: T\n    Properties:\n"
    text += f"      Value: {f'!ImportValue {{Fn::Sub: {imports}}}' if imports else 'plain'}\n"
    if exports:
        text += f"Outputs:\n  Out: {{Value: !GetAtt Thing.Arn, Export: {{Name: !Sub '{exports}'}}}}\n"
    return parse_template(text, name)


def test_a_stack_follows_the_stacks_that_it_imports_from() -> None:
    stacks = [
        template("a", imports="'x-${Environment}-b'"),
        template("b", imports="'x-${Environment}-c'", exports="x-${Environment}-b"),
        template("c", exports="x-${Environment}-c"),
    ]
    found = evaluate_environment("dev", PLACE, stacks, {each.name: {"Environment": "dev"} for each in stacks})
    assert [stack.name for stack in found.stacks] == ["nexus-llm-dev-c", "nexus-llm-dev-b", "nexus-llm-dev-a"]
    assert found.exports["x-dev-b"].template.name == "b"
    assert found.stacks[2].resources["Thing"].properties == {"Value": "<b.Thing.Arn>"}
    assert found.stacks[1].outputs["Out"].value == "<b.Thing.Arn>"
    assert found.stacks[2].imports == {"x-dev-b"}


def test_an_import_without_an_export_is_refused_by_name() -> None:
    stacks = [template("a", imports="nothing")]
    with pytest.raises(TemplateError, match="a: imports nothing, which no stack exports"):
        evaluate_environment("dev", PLACE, stacks, {"a": {"Environment": "dev"}})


def test_stacks_that_import_from_each_other_are_refused() -> None:
    stacks = [template("a", imports="b", exports="a"), template("b", imports="a", exports="b")]
    with pytest.raises(TemplateError, match=r"in a circle: [ab] -> [ab] -> [ab]"):
        evaluate_environment("dev", PLACE, stacks, {"a": {}, "b": {}})


def test_an_unknown_environment_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "parameters").mkdir()
    (tmp_path / "parameters" / "dev.toml").write_text("")
    assert environment_names(tmp_path) == ["dev"]
    with pytest.raises(TemplateError, match="there is no environment test; expected one of dev"):
        read_environment("test", PLACE, folder=tmp_path)
    assert read_templates(tmp_path) == []
    assert read_environment("dev", PLACE, folder=tmp_path).stacks == ()


def test_a_stack_may_be_in_the_region_that_a_parameter_names_or_in_none() -> None:
    text = """\
        Metadata: {RegionFrom: main.Second}
        Resources:
          Thing: {Type: T, Properties: {Region: !Ref AWS::Region, Zone: !Select [0, !GetAZs ""]}}
    """
    stacks = [template("main"), parse_template(textwrap.dedent(text), "replica")]
    for region, expected in (("eu-west-1", [{"Region": "eu-west-1", "Zone": "eu-west-1a"}]), ("", [])):
        values = {"main": {"Environment": "dev", "Second": region}, "replica": {}}
        found = evaluate_environment("dev", PLACE, stacks, values)
        replicas = [stack for stack in found.stacks if stack.template.name == "replica"]
        assert [stack.resources["Thing"].properties for stack in replicas] == expected


def test_the_parameter_that_names_a_region_must_exist() -> None:
    stacks = [parse_template("Metadata: {RegionFrom: main.Second}\nResources: {}\n", "replica")]
    with pytest.raises(TemplateError, match=r"replica:1: main\.Second is no parameter of a stack"):
        evaluate_environment("dev", PLACE, stacks, {"replica": {}})
