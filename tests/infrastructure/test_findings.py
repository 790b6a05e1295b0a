"""A finding stands unless a waiver gives a reason, and a waiver without a finding is an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from infrastructure.cloudformation.findings import Finding, common_waivers, finding, judge
from infrastructure.cloudformation.template import TemplateError, parse_template

TEMPLATE = parse_template(
    """\
Metadata:
  Waivers: {EVERY: this holds for every bucket here}
Resources:
  One:
    Type: T
    Metadata:
      Waivers: {ONE: this bucket only holds logs}
  Two: {Type: T}
""",
    "example",
)


def at(resource: str, rule: str) -> Finding:
    return finding(TEMPLATE, rule, "is wrong", ("Resources", resource, "Properties"))


def test_a_waiver_holds_for_its_resource_its_template_or_all() -> None:
    found = [at("One", "ONE"), at("Two", "ONE"), at("One", "EVERY"), at("Two", "EVERY"), at("Two", "ALL")]
    judged = judge(found, [TEMPLATE], {"ALL": "nobody needs what it asks for"})
    assert judged.findings == (at("Two", "ONE"),)
    assert judged.unused == ()


def test_a_waiver_without_a_finding_is_unused() -> None:
    judged = judge([at("One", "EVERY")], [TEMPLATE], {"ALL": "nobody needs what it asks for"})
    assert judged.findings == ()
    assert judged.unused == ("example: One ONE", "waivers.toml:  ALL")


def test_a_finding_says_where_and_what() -> None:
    assert str(at("Two", "ONE")) == "example:8: Two: ONE: is wrong"
    assert str(finding(TEMPLATE, "X", "is wrong", ("Outputs", "A"))) == "example:1: the template: X: is wrong"


@pytest.mark.parametrize("reason", ["''", "because", "1"])
def test_a_waiver_needs_a_reason(reason: str) -> None:
    text = f"Resources:\n  One:\n    Type: T\n    Metadata:\n      Waivers: {{ONE: {reason}}}\n"
    with pytest.raises(TemplateError, match="example:5: the waiver of ONE has no reason"):
        judge([], [parse_template(text, "example")], {})


def test_waivers_for_all_templates_are_read_from_their_file(tmp_path: Path) -> None:
    assert common_waivers(tmp_path) == {}
    (tmp_path / "waivers.toml").write_text('[waivers]\nALL = "nobody needs what it asks for"\n')
    assert common_waivers(tmp_path) == {"ALL": "nobody needs what it asks for"}
    (tmp_path / "waivers.toml").write_text('[waivers]\nALL = "no"\n')
    with pytest.raises(TemplateError, match="the waiver of ALL has no reason"):
        common_waivers(tmp_path)
