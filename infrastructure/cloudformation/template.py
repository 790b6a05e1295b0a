"""Reads a CloudFormation template into plain values, and keeps the line of each.

The short forms of functions (``!Ref``, ``!Sub``) become their long forms (``{"Ref": …}``,
``{"Fn::Sub": …}``), so that everything else knows one form only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from include.contracts.errors import NexusError

#: Position of a value: the keys and indices that lead to it from the top of the template.
Position = tuple[str | int, ...]

SECTIONS = (
    "AWSTemplateFormatVersion",
    "Description",
    "Transform",
    "Metadata",
    "Parameters",
    "Rules",
    "Mappings",
    "Conditions",
    "Resources",
    "Outputs",
)
#: Short forms whose long form has no "Fn::".
_WITHOUT_PREFIX = ("Ref", "Condition")
_STANDARD = "tag:yaml.org,2002:"


class TemplateError(NexusError):
    """Raised if a template or a file of parameters cannot be used."""


@dataclass(frozen=True)
class Template:
    """A template. ``name`` is the stem of its file, and the last part of the stack's name."""

    name: str
    body: Mapping[str, Any]
    lines: Mapping[Position, int] = field(repr=False, default_factory=dict)
    file: str = ""

    def section(self, name: str) -> Mapping[str, Any]:
        """Return a section such as ``Resources``, empty if the template has none."""
        found = self.body.get(name) or {}
        if not isinstance(found, Mapping):
            raise TemplateError(
                "is not a section", where=self.where((name,)), expected="names and values", got=repr(found)
            )
        return found

    @property
    def parameters(self) -> Mapping[str, Mapping[str, Any]]:
        """The declared parameters by name."""
        return self.section("Parameters")

    @property
    def resources(self) -> Mapping[str, Mapping[str, Any]]:
        """The declared resources by logical id."""
        return self.section("Resources")

    @property
    def outputs(self) -> Mapping[str, Mapping[str, Any]]:
        """The declared outputs by name."""
        return self.section("Outputs")

    def where(self, position: Position) -> str:
        """Return the file and line of ``position``, or of the nearest value around it that has a line."""
        for length in range(len(position), -1, -1):
            if (line := self.lines.get(position[:length])) is not None:
                return f"{self.file or self.name}:{line}"
        return self.file or self.name


def read_template(path: Path) -> Template:
    """Read a template. Raises TemplateError with file and line."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise TemplateError(f"cannot be read ({error})", where=str(path)) from error
    return parse_template(text, path.stem, str(path))


def parse_template(text: str, name: str, file: str = "") -> Template:
    """Parse the text of a template. Raises TemplateError with file and line."""
    where = file or name
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise TemplateError(f"is not valid YAML ({error})", where=where) from error
    lines: dict[Position, int] = {}
    body = _Plain(where, lines).value(node, ()) if node else None
    if not isinstance(body, dict) or not isinstance(body.get("Resources"), dict):
        raise TemplateError("is not a CloudFormation template", where=where, expected="a section Resources")
    if unknown := sorted(set(body) - set(SECTIONS)):
        line = lines.get((unknown[0],), 1)
        raise TemplateError(f"unknown section {unknown[0]}", where=f"{where}:{line}")
    return Template(name, body, lines, file)


def functions(value: Any, position: Position = ()) -> Iterator[tuple[Position, str, Any]]:
    """Yield position, name and argument of every function below ``value``, outer functions first."""
    if isinstance(value, Mapping):
        if len(value) == 1:
            ((name, argument),) = value.items()
            if name == "Ref" or str(name).startswith("Fn::"):
                yield position, str(name), argument
        for key, item in value.items():
            yield from functions(item, (*position, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from functions(item, (*position, index))


class _Plain:
    """Converts the nodes of one document."""

    def __init__(self, where: str, lines: dict[Position, int]) -> None:
        self.where = where
        self.lines = lines
        self.scalars = yaml.SafeLoader("")

    def value(self, node: yaml.Node, position: Position) -> Any:
        """Return the plain value of ``node`` and note its line."""
        self.lines[position] = node.start_mark.line + 1
        if node.tag.startswith("!"):
            return self._function(node, position)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, position)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*position, index)) for index, item in enumerate(node.value)]
        if node.tag == f"{_STANDARD}timestamp":  # policy versions look like dates, and are text
            return node.value
        return self.scalars.construct_object(node)  # type: ignore[no-untyped-call]

    def _function(self, node: yaml.Node, position: Position) -> dict[str, Any]:
        short = node.tag[1:]
        name = short if short in _WITHOUT_PREFIX else f"Fn::{short}"
        inner = (*position, name)
        self.lines[inner] = node.start_mark.line + 1
        if isinstance(node, yaml.ScalarNode):
            attribute = short == "GetAtt"
            return {name: node.value.split(".", 1) if attribute else node.value}
        if isinstance(node, yaml.SequenceNode):
            return {name: [self.value(item, (*inner, index)) for index, item in enumerate(node.value)]}
        return {name: self._mapping(node, inner)}

    def _mapping(self, node: yaml.Node, position: Position) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            line = key_node.start_mark.line + 1
            if not isinstance(key, str) or key == "<<":
                raise TemplateError("is not a plain key", where=f"{self.where}:{line}", got=str(key)[:80])
            if key in found:
                raise TemplateError(f"{key} is given twice", where=f"{self.where}:{line}")
            found[key] = self.value(value_node, (*position, key))
            self.lines[(*position, key)] = line
        return found
