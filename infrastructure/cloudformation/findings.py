"""Findings of rules in templates, and the waivers for which templates give reasons."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infrastructure.cloudformation.template import Position, Template, TemplateError

#: Key below Metadata, of a resource or of the template: rule -> reason.
WAIVERS = "Waivers"


@dataclass(frozen=True, order=True)
class Finding:
    """A rule that a resource breaks; ``resource`` is empty for something outside of the resources."""

    template: str
    resource: str
    rule: str
    message: str
    where: str = ""

    def __str__(self) -> str:
        place = self.where or self.template
        return f"{place}: {self.resource or 'the template'}: {self.rule}: {self.message}"


@dataclass(frozen=True)
class Judgement:
    """Findings that stand, and waivers that waive nothing."""

    findings: tuple[Finding, ...]
    unused: tuple[str, ...]


def finding(template: Template, rule: str, message: str, position: Position) -> Finding:
    """Return a finding at ``position``, with the resource around it and its line."""
    in_resource = len(position) > 1 and position[0] == "Resources"
    resource = str(position[1]) if in_resource else ""
    return Finding(template.name, resource, rule, message, template.where(position))


def judge(findings: Iterable[Finding], templates: Iterable[Template], common: Mapping[str, str]) -> Judgement:
    """Leave out what is waived: on the resource, for the template, or in ``common`` for all templates."""
    waivers = {
        (template.name, resource, rule)
        for template in templates
        for resource, rules in _waivers(template).items()
        for rule in rules
    }
    waivers |= {("", "", rule) for rule in common}
    used = set()
    standing = []
    for found in sorted(set(findings)):
        keys = [
            (found.template, found.resource, found.rule),
            (found.template, "", found.rule),
            ("", "", found.rule),
        ]
        waived = next((key for key in keys if key in waivers), None)
        if waived:
            used.add(waived)
        else:
            standing.append(found)
    unused = [f"{name or 'waivers.toml'}: {resource} {rule}" for name, resource, rule in waivers - used]
    return Judgement(tuple(standing), tuple(sorted(unused)))


def common_waivers(folder: Path) -> dict[str, str]:
    """Return the waivers that hold for every template of ``folder``."""
    path = folder / "waivers.toml"
    plain = tomllib.loads(path.read_text()) if path.is_file() else {}
    return _checked(plain.get("waivers", {}), str(path))


def _waivers(template: Template) -> dict[str, dict[str, str]]:
    found = {"": template.section("Metadata").get(WAIVERS, {})}
    for name, body in template.resources.items():
        if isinstance(body, Mapping):
            found[name] = body.get("Metadata", {}).get(WAIVERS, {})
    return {
        name: _checked(rules, template.where(("Resources", name, "Metadata", WAIVERS)))
        for name, rules in found.items()
    }


def _checked(rules: Any, where: str) -> dict[str, str]:
    for rule, reason in rules.items():
        if not isinstance(reason, str) or len(reason.split()) < 4:
            raise TemplateError(
                f"the waiver of {rule} has no reason", where=where, expected="a sentence", got=repr(reason)
            )
    return dict(rules)
