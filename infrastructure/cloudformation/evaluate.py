"""Evaluates a template for one set of parameters, as CloudFormation does before it creates resources.

What only exists after creation (a resource's id or attribute) is asked of the caller: the local deployer
answers with what it has created, and a check with a placeholder.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from infrastructure.cloudformation.template import Position, Template, TemplateError

_REFERENCE = re.compile(r"\$\{([^}]*)\}")
_NO_VALUE = object()
_LOOP = "Fn::ForEach::"


@dataclass(frozen=True)
class Place:
    """The account and region that a stack is deployed to. ``zones`` are the region's availability zones."""

    account: str
    region: str
    zones: tuple[str, ...]
    partition: str = "aws"
    url_suffix: str = "amazonaws.com"


@dataclass(frozen=True)
class EvaluatedResource:
    """A resource with the values that it has in one environment."""

    logical_id: str
    type: str
    properties: Mapping[str, Any]
    #: Attributes of the declaration other than type and properties, such as DeletionPolicy and Metadata.
    attributes: Mapping[str, Any]


@dataclass(frozen=True)
class EvaluatedOutput:
    """An output; ``export`` is empty if no other stack may import it."""

    name: str
    value: Any
    export: str


@dataclass
class Evaluation:
    """The evaluation of one template.

    ``attribute(logical_id, name)`` returns an attribute of a resource, or what Ref returns if ``name`` is
    empty. ``imported(export)`` returns the value of another stack's export. Both may raise TemplateError.
    """

    template: Template
    parameters: Mapping[str, Any]
    place: Place
    stack_name: str
    attribute: Callable[[str, str], Any]
    imported: Callable[[str], Any]
    _conditions: dict[str, bool] = field(default_factory=dict)
    _sections: dict[str, dict[str, Mapping[str, Any]]] = field(default_factory=dict)

    def resources(self) -> list[EvaluatedResource]:
        """Return the resources whose conditions hold, loops expanded, in the order of the template."""
        return [self.resource(logical_id) for logical_id in self.declared()]

    def declared(self) -> list[str]:
        """Return the logical ids of the resources whose conditions hold."""
        return [name for name, body in self._expanded("Resources").items() if self._exists(name, body)]

    def resource(self, logical_id: str) -> EvaluatedResource:
        """Return one resource with its values."""
        body = self._expanded("Resources")[logical_id]
        position: Position = ("Resources", logical_id)
        attributes = {key: value for key, value in body.items() if key not in ("Type", "Properties")}
        return EvaluatedResource(
            logical_id,
            str(body.get("Type", "")),
            self.value(body.get("Properties", {}), (*position, "Properties")),
            self.value(attributes, position),
        )

    def outputs(self) -> list[EvaluatedOutput]:
        """Return the outputs whose conditions hold."""
        return [
            EvaluatedOutput(name, self.value(body.get("Value"), ("Outputs", name)), self._export(name, body))
            for name, body in self._expanded("Outputs").items()
            if self._exists(name, body)
        ]

    def export_names(self) -> list[str]:
        """Return the names of the exports, which depend on no other stack."""
        found = [
            self._export(name, body)
            for name, body in self._expanded("Outputs").items()
            if self._exists(name, body)
        ]
        return [export for export in found if export]

    def _export(self, name: str, body: Mapping[str, Any]) -> str:
        position: Position = ("Outputs", name, "Export")
        return str(self.value(body.get("Export", {}), position).get("Name", ""))

    def condition(self, name: str, position: Position = ()) -> bool:
        """Return the value of a condition."""
        if name not in self._conditions:
            declared = self.template.section("Conditions")
            if name not in declared:
                raise self._error(f"condition {name} does not exist", position)
            self._conditions[name] = bool(self.value(declared[name], ("Conditions", name)))
        return self._conditions[name]

    def value(self, value: Any, position: Position = ()) -> Any:
        """Return ``value`` with all functions applied; properties that have no value are left out."""
        if isinstance(value, list):
            items = [self.value(item, (*position, index)) for index, item in enumerate(value)]
            return [item for item in items if item is not _NO_VALUE]
        if not isinstance(value, Mapping):
            return value
        if len(value) == 1:
            ((name, argument),) = value.items()
            # a Condition of a policy is a mapping, and no function
            if name in _FUNCTIONS and not (name == "Condition" and isinstance(argument, Mapping)):
                return _FUNCTIONS[name](self, argument, (*position, name))
            if str(name).startswith("Fn::") and not str(name).startswith(_LOOP):
                raise self._error(f"{name} is not supported", position)
        items_by_key = {key: self.value(item, (*position, key)) for key, item in value.items()}
        return {key: item for key, item in items_by_key.items() if item is not _NO_VALUE}

    def _exists(self, name: str, body: Mapping[str, Any]) -> bool:
        return "Condition" not in body or self.condition(body["Condition"], (name, "Condition"))

    def _expanded(self, section: str) -> dict[str, Mapping[str, Any]]:
        """Return a section with the loops of ``AWS::LanguageExtensions`` expanded, once for all."""
        if section in self._sections:
            return self._sections[section]
        found: dict[str, Mapping[str, Any]] = {}
        for name, body in self.template.section(section).items():
            if not name.startswith(_LOOP):
                found[name] = body
                continue
            position: Position = (section, name)
            if not isinstance(body, list) or len(body) != 3:
                raise self._error("a loop has a variable, values and a body", position)
            variable, values, bodies = body
            for item in self.value(values, (*position, 1)):
                for inner, content in bodies.items():
                    found[_fill(inner, variable, item)] = _fill(content, variable, item)
        self._sections[section] = found
        return found

    def _error(self, what: str, position: Position) -> TemplateError:
        return TemplateError(what, where=self.template.where(position))

    def _ref(self, name: Any, position: Position) -> Any:
        pseudo = {
            "AWS::AccountId": self.place.account,
            "AWS::Region": self.place.region,
            "AWS::Partition": self.place.partition,
            "AWS::URLSuffix": self.place.url_suffix,
            "AWS::StackName": self.stack_name,
            "AWS::NoValue": _NO_VALUE,
        }
        if name in pseudo:
            return pseudo[name]
        if name in self.parameters:
            return self.parameters[name]
        if name in self._expanded("Resources"):
            return self.attribute(name, "")
        raise self._error(f"{name} is neither a parameter nor a resource", position)

    def _get_att(self, argument: Any, position: Position) -> Any:
        parts = argument.split(".", 1) if isinstance(argument, str) else argument
        logical_id, name = parts[0], self.value(parts[1], position)
        if logical_id not in self._expanded("Resources"):
            raise self._error(f"{logical_id} is not a resource", position)
        return self.attribute(logical_id, name)

    def _sub(self, argument: Any, position: Position) -> str:
        text, given = argument if isinstance(argument, list) else (argument, {})
        variables = {key: self.value(item, (*position, 1, key)) for key, item in given.items()}

        def replaced(match: re.Match[str]) -> str:
            name = match[1].strip()
            if name.startswith("!"):
                return f"${{{name[1:]}}}"
            if name in variables:
                return str(variables[name])
            is_attribute = "." in name and name not in self.parameters
            found = (self._get_att if is_attribute else self._ref)(name, position)
            if isinstance(found, list):
                raise self._error(f"{name} is a list, which Sub cannot insert", position)
            return str(found)

        return _REFERENCE.sub(replaced, text)

    def _import(self, argument: Any, position: Position) -> Any:
        export = self.value(argument, position)
        try:
            return self.imported(export)
        except TemplateError as error:
            raise self._error(str(error), position) from error

    def _if(self, argument: Any, position: Position) -> Any:
        name, then, otherwise = self._arguments(argument, 3, position)
        chosen = 1 if self.condition(name, position) else 2
        return self.value(then if chosen == 1 else otherwise, (*position, chosen))

    def _join(self, argument: Any, position: Position) -> str:
        separator, items = self._arguments(argument, 2, position)
        return str(separator).join(str(item) for item in self.value(items, (*position, 1)))

    def _split(self, argument: Any, position: Position) -> list[str]:
        separator, text = self._arguments(argument, 2, position)
        return str(self.value(text, (*position, 1))).split(separator)

    def _select(self, argument: Any, position: Position) -> Any:
        index, items = self.value(self._arguments(argument, 2, position), position)
        if not 0 <= int(index) < len(items):
            raise self._error(f"Select takes item {index} of {len(items)}", position)
        return items[int(index)]

    def _find(self, argument: Any, position: Position) -> Any:
        name, first, second = self.value(self._arguments(argument, 3, position), position)
        try:
            return self.template.section("Mappings")[name][first][second]
        except KeyError as error:
            raise self._error(f"mapping {name} has no {first} / {second}", position) from error

    def _cidr(self, argument: Any, position: Position) -> list[str]:
        block, count, bits = self.value(self._arguments(argument, 3, position), position)
        subnets = ipaddress.ip_network(block).subnets(new_prefix=32 - int(bits))
        return [str(next(subnets)) for _ in range(int(count))]

    def _arguments(self, argument: Any, number: int, position: Position) -> list[Any]:
        if not isinstance(argument, list) or len(argument) != number:
            raise self._error(f"takes a list of {number}", position)
        return argument

    def _zones(self, _argument: Any, _position: Position) -> list[str]:
        return list(self.place.zones)

    def _equals(self, argument: Any, position: Position) -> bool:
        left, right = self.value(self._arguments(argument, 2, position), position)
        return str(left) == str(right)

    def _all(self, argument: Any, position: Position) -> bool:
        return all(self.value(item, position) for item in argument)

    def _any(self, argument: Any, position: Position) -> bool:
        return any(self.value(item, position) for item in argument)

    def _not(self, argument: Any, position: Position) -> bool:
        return not self.value(self._arguments(argument, 1, position)[0], position)

    def _base64(self, argument: Any, position: Position) -> str:
        return base64.b64encode(str(self.value(argument, position)).encode()).decode()

    def _length(self, argument: Any, position: Position) -> int:
        return len(self.value(argument, position))

    def _json(self, argument: Any, position: Position) -> str:
        return json.dumps(self.value(argument, position), separators=(",", ":"))


def _fill(value: Any, variable: str, item: str) -> Any:
    """Replace ``${variable}`` and ``&{variable}`` (letters and digits only) and a Ref to it."""
    if isinstance(value, str):
        plain = re.sub(r"[^A-Za-z0-9]", "", item)
        return value.replace(f"${{{variable}}}", item).replace(f"&{{{variable}}}", plain)
    if isinstance(value, list):
        return [_fill(inner, variable, item) for inner in value]
    if isinstance(value, Mapping):
        if dict(value) == {"Ref": variable}:
            return item
        return {_fill(key, variable, item): _fill(inner, variable, item) for key, inner in value.items()}
    return value


_FUNCTIONS: dict[str, Callable[[Evaluation, Any, Position], Any]] = {
    "Ref": Evaluation._ref,
    "Condition": lambda self, name, position: self.condition(name, position),
    "Fn::GetAtt": Evaluation._get_att,
    "Fn::Sub": Evaluation._sub,
    "Fn::ImportValue": Evaluation._import,
    "Fn::If": Evaluation._if,
    "Fn::Join": Evaluation._join,
    "Fn::Split": Evaluation._split,
    "Fn::Select": Evaluation._select,
    "Fn::FindInMap": Evaluation._find,
    "Fn::Cidr": Evaluation._cidr,
    "Fn::GetAZs": Evaluation._zones,
    "Fn::Equals": Evaluation._equals,
    "Fn::And": Evaluation._all,
    "Fn::Or": Evaluation._any,
    "Fn::Not": Evaluation._not,
    "Fn::Base64": Evaluation._base64,
    "Fn::Length": Evaluation._length,
    "Fn::ToJsonString": Evaluation._json,
}
