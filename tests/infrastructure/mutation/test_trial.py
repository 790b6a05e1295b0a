"""Mutants are noticed by a rule, or listed; a mutator that changes nothing is an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from infrastructure.cloudformation.environments import read_templates
from infrastructure.cloudformation.mutation.__main__ import main
from infrastructure.cloudformation.mutation.mutators import REMOVED, Mutator
from infrastructure.cloudformation.mutation.trial import EVALUATION, Trial, mutants
from infrastructure.cloudformation.template import TemplateError

LOGS = """\
Parameters:
  Environment: {Type: String}
Conditions:
  IsProd: !Equals [!Ref Environment, prod]
Resources:
  Group:
    Type: AWS::Logs::LogGroup
    Condition: IsProd
    DeletionPolicy: Retain
    Properties:
      LogGroupName: !Sub /nexus-llm/${Environment}/serving
      RetentionInDays: 30
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "parameters").mkdir()
    (tmp_path / "logs.yaml").write_text(LOGS)
    for name in ("dev", "prod"):
        (tmp_path / "parameters" / f"{name}.toml").write_text("")
    return tmp_path


def catcher(folder: Path, mutator: Mutator) -> str:
    templates = read_templates(folder)
    (mutant,) = mutants(templates, [mutator])
    return Trial(folder, templates).catchers([mutant]).get(0, "")


@pytest.mark.parametrize(
    ("path", "change", "rule"),
    [
        ("Condition", "IsTest", EVALUATION),
        ("Properties/LogGroupName", "/other", "physical-name"),
        ("Properties/RetentionInDays", 31, "W3030"),
        ("Properties/RetentionInDays", REMOVED, "CKV_AWS_66"),
        ("Properties/LogGroupName", {"Fn::Sub": "/nexus-llm/${Environment}/other"}, ""),
    ],
)
def test_a_mutant_is_noticed_by_the_first_rule_that_sees_it(
    folder: Path, path: str, change: object, rule: str
) -> None:
    assert catcher(folder, Mutator("fault", "AWS::Logs::LogGroup", path, change)) == rule


def test_a_waived_finding_does_not_notice_a_mutant(folder: Path) -> None:
    (folder / "waivers.toml").write_text('[waivers]\nphysical-name = "only for this one test"\n')
    assert catcher(folder, Mutator("fault", "", "Properties/LogGroupName", "/other")) == ""


def test_a_mutator_that_changes_nothing_is_an_error(folder: Path) -> None:
    templates = read_templates(folder)
    nowhere = Mutator("nowhere", "AWS::S3::Bucket", "Properties", 1)
    same = Mutator("same", "", "Properties/RetentionInDays", 30)
    with pytest.raises(TemplateError, match="these mutators change nothing: nowhere, same"):
        mutants(templates, [nowhere, same])


def test_the_command_lists_what_nothing_notices(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main([str(folder), "--only", "a condition does not", "--write", str(tmp_path / "table.md")]) == 0
    rows = (tmp_path / "table.md").read_text().splitlines()
    assert rows[2:] == ["| a condition does not exist | 1 | evaluation (1) |"]
    assert main([str(folder), "--only", "the resource is not retained"]) == 1
    assert "not noticed: logs: Group/DeletionPolicy: the resource is not retained" in capsys.readouterr().out
