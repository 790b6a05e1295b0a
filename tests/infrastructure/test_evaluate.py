"""Templates are evaluated as CloudFormation evaluates them."""

from __future__ import annotations

import textwrap
from typing import Any

import pytest

from infrastructure.cloudformation.evaluate import Evaluation, Place
from infrastructure.cloudformation.template import TemplateError, parse_template

PLACE = Place("111122223333", "eu-west-1", ("eu-west-1a", "eu-west-1b", "eu-west-1c"))


def evaluation(resources: str, head: str = "", **parameters: Any) -> Evaluation:
    text = f"{textwrap.dedent(head)}\nResources:\n{textwrap.indent(textwrap.dedent(resources), '  ')}"
    exports = {"net-Vpc": "vpc-1"}

    def imported(export: str) -> str:
        if export not in exports:
            raise TemplateError(f"there is no export {export}")
        return exports[export]

    return Evaluation(
        parse_template(text, "example"),
        parameters,
        PLACE,
        "nexus-llm-dev-example",
        lambda logical_id, name: f"{logical_id}:{name}",
        imported,
    )


def value(expression: str, head: str = "", **parameters: Any) -> Any:
    resources = f"Key: {{Type: K}}\nThing:\n  Type: T\n  Properties:\n    Value: {expression}\n"
    return evaluation(resources, head, **parameters).resource("Thing").properties.get("Value")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("!Ref AWS::AccountId", "111122223333"),
        ("!Ref Name", "red"),
        ("!Ref Names", ["a", "b"]),
        ("!Ref Key", "Key:"),
        ("!GetAtt Key.Arn", "Key:Arn"),
        ("!GetAtt [Key, Outer.Inner]", "Key:Outer.Inner"),
        ("!Sub 'arn:${AWS::Partition}:${Name}/${Key.Arn}/${!literal}'", "arn:aws:red/Key:Arn/${literal}"),
        ("!Sub ['${a}-${Name}', {a: !Ref AWS::Region}]", "eu-west-1-red"),
        ("!ImportValue net-Vpc", "vpc-1"),
        ("!ImportValue {'Fn::Sub': 'net-${Vpc}'}", "vpc-1"),
        ("!Join [',', !Ref Names]", "a,b"),
        ("!Select [1, !Split ['.', 'a.b.c']]", "b"),
        ("!Select [2, !GetAZs '']", "eu-west-1c"),
        ("!Select [1, !Cidr [10.0.0.0/16, 3, 8]]", "10.0.1.0/24"),
        ("!FindInMap [Sizes, !Ref Name, Cpu]", 4),
        ("!If [IsRed, yes-it-is, no]", "yes-it-is"),
        ("!If [IsBlue, 1, !Ref AWS::NoValue]", None),
        ("{Fn::Base64: !Ref Name}", "cmVk"),
        ("{Fn::Length: !Ref Names}", 2),
        ("{Fn::ToJsonString: {a: !Ref Name}}", '{"a":"red"}'),
        ("{Statement: [{Condition: {StringEquals: {x: !Ref Name}}}]}",
         {"Statement": [{"Condition": {"StringEquals": {"x": "red"}}}]}),
    ],
)  # fmt: skip
def test_a_function_gives_what_cloudformation_gives(expression: str, expected: Any) -> None:
    head = """
        Mappings: {Sizes: {red: {Cpu: 4}}}
        Conditions:
          IsRed: !And [!Equals [!Ref Name, red], !Not [!Condition IsBlue]]
          IsBlue: !Or [!Equals [!Ref Name, blue], !Equals [!Ref AWS::Region, us-east-1]]
    """
    assert value(expression, head, Name="red", Names=["a", "b"], Vpc="Vpc") == expected


def test_items_without_a_value_are_left_out_of_lists() -> None:
    assert value("[a, !Ref AWS::NoValue, b]") == ["a", "b"]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("!Ref Nothing", "example:7: Nothing is neither a parameter nor a resource"),
        ("!GetAtt Nothing.Arn", "Nothing is not a resource"),
        ("!Sub '${Names}'", "Names is a list"),
        ("!ImportValue net-Subnets", "there is no export net-Subnets"),
        ("!Select [3, [a, b, c]]", "Select takes item 3 of 3"),
        ("!FindInMap [Sizes, green, Cpu]", "mapping Sizes has no green / Cpu"),
        ("!If [Unknown, 1, 2]", "condition Unknown does not exist"),
        ("!If [a, b]", "takes a list of 3"),
        ("!Transform {Name: X}", "Fn::Transform is not supported"),
    ],
)
def test_a_function_that_cannot_be_evaluated_is_named_with_its_line(expression: str, message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        value(expression, "Mappings: {Sizes: {red: {Cpu: 4}}}", Names=["a"])


def test_a_resource_or_output_exists_only_if_its_condition_holds() -> None:
    head = """
        Conditions: {Never: !Equals [a, b]}
        Outputs:
          Shown: {Value: 1, Export: {Name: !Sub '${AWS::StackName}-Shown'}}
          Hidden: {Value: 2, Condition: Never}
    """
    found = evaluation("A: {Type: T, Condition: Never}\nB: {Type: T, DeletionPolicy: Retain}\n", head)
    assert found.declared() == ["B"]
    assert found.resource("B").attributes == {"DeletionPolicy": "Retain"}
    assert [(output.name, output.export) for output in found.outputs()] == [
        ("Shown", "nexus-llm-dev-example-Shown")
    ]


def test_a_loop_makes_one_resource_per_item() -> None:
    resources = """\
        Fn::ForEach::Endpoints:
          - Service
          - !Ref Services
          - Endpoint&{Service}:
              Type: E
              Properties:
                Name: !Sub 'com.${AWS::Region}.${Service}'
                Plain: !Ref Service
    """
    found = evaluation(resources, Services=["ecr.api", "kms"])
    assert {each.logical_id: dict(each.properties) for each in found.resources()} == {
        "Endpointecrapi": {"Name": "com.eu-west-1.ecr.api", "Plain": "ecr.api"},
        "Endpointkms": {"Name": "com.eu-west-1.kms", "Plain": "kms"},
    }
