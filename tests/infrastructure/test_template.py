"""Templates are read with their short forms, and every value has its line."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from infrastructure.cloudformation.template import TemplateError, functions, parse_template, read_template

TEXT = textwrap.dedent(
    """\
    AWSTemplateFormatVersion: 2010-09-09
    Resources:
      Bucket:
        Type: AWS::S3::Bucket
        Properties:
          BucketName: !Sub "x-${AWS::Region}"
          Tags:
            - Key: owner
              Value: !GetAtt Key.Arn
      Key:
        Type: AWS::KMS::Key
        Condition: Wanted
        Properties:
          Enabled: true
          PendingWindowInDays: 7
          KeyPolicy: !If [Wanted, !Ref "AWS::NoValue", {}]
    """
)


def test_short_forms_become_long_forms() -> None:
    template = parse_template(TEXT, "example")
    properties = template.resources["Bucket"]["Properties"]
    assert properties["BucketName"] == {"Fn::Sub": "x-${AWS::Region}"}
    assert properties["Tags"][0]["Value"] == {"Fn::GetAtt": ["Key", "Arn"]}
    assert template.resources["Key"]["Properties"]["KeyPolicy"] == {
        "Fn::If": ["Wanted", {"Ref": "AWS::NoValue"}, {}]
    }


def test_a_date_stays_text_and_numbers_and_booleans_do_not() -> None:
    template = parse_template(TEXT, "example")
    assert template.body["AWSTemplateFormatVersion"] == "2010-09-09"
    assert template.resources["Key"]["Properties"]["Enabled"] is True
    assert template.resources["Key"]["Properties"]["PendingWindowInDays"] == 7


def test_a_position_has_the_line_of_the_nearest_value_around_it() -> None:
    template = parse_template(TEXT, "example", "stacks/example.yaml")
    assert template.where(("Resources", "Bucket", "Properties", "BucketName")) == "stacks/example.yaml:6"
    assert template.where(("Resources", "Key", "Properties", "Missing", 3)) == "stacks/example.yaml:13"
    assert template.where(("Nowhere",)) == "stacks/example.yaml:1"


def test_functions_are_found_with_their_positions() -> None:
    found = list(functions(parse_template(TEXT, "example").resources, ("Resources",)))
    assert [(position[1], name) for position, name, _ in found] == [
        ("Bucket", "Fn::Sub"),
        ("Bucket", "Fn::GetAtt"),
        ("Key", "Fn::If"),
        ("Key", "Ref"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Resources: [", "is not valid YAML"),
        ("- a\n- b\n", "is not a CloudFormation template"),
        ("", "is not a CloudFormation template"),
        ("Resources: {}\nResource: {}\n", "example:2: unknown section Resource"),
        ("Resources:\n  A: {}\n  A: {}\n", "example:3: A is given twice"),
        ("Resources:\n  [a, b]: {}\n", "is not a plain key"),
    ],
)
def test_what_is_no_template_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        parse_template(text, "example")


def test_a_section_that_is_a_list_is_refused_by_name() -> None:
    template = parse_template("Resources: {}\nOutputs: [a]\n", "example")
    with pytest.raises(TemplateError, match="example:2: is not a section"):
        template.outputs.items()


def test_a_file_that_is_missing_or_no_text_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_bytes(b"\xff\xfe\x00")
    for path in (broken, tmp_path / "missing.yaml"):
        with pytest.raises(TemplateError, match=rf"{path.name}: cannot be read"):
            read_template(path)
