"""Reads the parameters of an environment: a TOML file with a table per stack that fits the templates."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from infrastructure.cloudformation.template import Template, TemplateError

#: The parameter that every template has; its value is the name of the file.
ENVIRONMENT = "Environment"
Parameters = Mapping[str, Mapping[str, Any]]


def read_parameters(path: Path, templates: Iterable[Template]) -> Parameters:
    """Return the values of all parameters, by stack and name, defaults included.

    Raises TemplateError if a table or key is missing, unknown, or has a value that the template refuses.
    """
    try:
        plain = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise TemplateError(f"cannot be read ({error})", where=str(path)) from error
    known = {template.name: template for template in templates}
    if unknown := sorted(set(plain) - set(known)):
        raise TemplateError(
            f"[{unknown[0]}] is no stack", where=str(path), expected=f"one of {', '.join(sorted(known))}"
        )
    return {
        name: stack_parameters(template, plain.get(name, {}), path.stem, f"{path} [{name}]")
        for name, template in known.items()
    }


def stack_parameters(
    template: Template, given: Mapping[str, Any], environment: str, where: str
) -> dict[str, Any]:
    """Return the values of the parameters of one stack, as Ref returns them."""
    declared = template.parameters
    if unknown := sorted(set(given) - set(declared)):
        raise TemplateError(
            f"unknown parameter {unknown[0]}", where=where, expected=f"one of {', '.join(declared)}"
        )
    if ENVIRONMENT in given:
        raise TemplateError(f"{ENVIRONMENT} is the name of the file", where=where, remedy="remove it")
    values = {}
    for name, rules in declared.items():
        value = environment if name == ENVIRONMENT else given.get(name, rules.get("Default"))
        if value is None:
            raise TemplateError(
                f"{name} is missing", where=where, expected=str(rules.get("Description", "a value"))
            )
        values[name] = _checked(name, value, rules, where)
    return values


def _checked(name: str, value: Any, rules: Mapping[str, Any], where: str) -> Any:
    """Return the value of a parameter as text, or as a list of texts if its type is a list."""
    kind = str(rules.get("Type", ""))
    is_list = kind.startswith("List<") or kind == "CommaDelimitedList"
    items = _items(value) if is_list else [_text(value)]
    problem = next((found for item in items if (found := _problem(item, kind, rules))), "")
    if problem:
        raise TemplateError(f"{name} is not valid", where=where, expected=problem, got=repr(value))
    return items if is_list else items[0]


def _items(value: Any) -> list[str]:
    if isinstance(value, list):
        return [_text(item) for item in value]
    return [item.strip() for item in _text(value).split(",")] if _text(value) else []


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _problem(text: str, kind: str, rules: Mapping[str, Any]) -> str:
    """Return what the parameter expects, if ``text`` is not that."""
    allowed = [_text(option) for option in rules.get("AllowedValues", [text])]
    if text not in allowed:
        return f"one of {', '.join(allowed)}"
    if (pattern := rules.get("AllowedPattern")) and not re.fullmatch(pattern, text):
        return str(rules.get("ConstraintDescription", f"the pattern {pattern}"))
    if "Number" in kind:
        return _number_problem(text, rules)
    shortest, longest = int(rules.get("MinLength", 0)), int(rules.get("MaxLength", len(text)))
    return "" if shortest <= len(text) <= longest else f"{shortest} to {longest} characters"


def _number_problem(text: str, rules: Mapping[str, Any]) -> str:
    try:
        number = float(text)
    except ValueError:
        return "a number"
    least, most = rules.get("MinValue", number), rules.get("MaxValue", number)
    return "" if float(least) <= number <= float(most) else f"{least} to {most}"
