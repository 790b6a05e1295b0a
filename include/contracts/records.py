"""Convert frozen dataclasses to JSON and back. An unknown, missing or mistyped field is an error.

Every manifest and recipe is read and written by these functions. A reader never accepts a field that it
does not know, and a writer always writes the same bytes for the same content.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import hashlib
import json
import math
import re
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from include.contracts.errors import ContractError, NexusError

T = TypeVar("T")

_MOST_LEVELS = 20
#: Characters that UTF-8, JSON or AWS cannot hold.
NOT_PORTABLE = re.compile("[\x00\ud800-\udfff]")


def canonical_json(content: Any) -> bytes:
    """Return UTF-8 JSON with sorted keys and a final newline: the same content gives the same bytes."""
    return (json.dumps(to_plain(content), sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()


def content_hash(content: bytes) -> str:
    """Return the SHA-256 of ``content`` as lower-case hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def to_plain(content: Any) -> Any:
    """Convert dataclasses, enums, tuples and mappings to values that JSON has."""
    if dataclasses.is_dataclass(content) and not isinstance(content, type):
        return {f.name: to_plain(getattr(content, f.name)) for f in dataclasses.fields(content)}
    if isinstance(content, enum.Enum):
        return content.value
    if isinstance(content, Mapping):
        return {str(key): to_plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [to_plain(item) for item in content]
    return content


def parse_json(kind: type[T], content: bytes | str, *, where: str) -> T:
    """Parse a JSON text into a record of type ``kind``. Raises ContractError with place and field."""
    try:
        plain = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ContractError(f"not valid JSON ({error})", where=where) from error
    return from_plain(kind, plain, where=where)


def from_plain(kind: type[T], plain: Any, *, where: str, error: type[NexusError] = ContractError) -> T:
    """Build the dataclass ``kind`` from a mapping, and check names and types of all fields."""
    if not isinstance(plain, Mapping):
        raise error("not a table", where=where, expected=kind.__name__, got=type(plain).__name__)
    hints = typing.get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for key in plain:
        if key not in fields:
            known = ", ".join(sorted(fields))
            raise error(f"unknown key '{key}'", where=where, expected=f"one of {known}", got=str(key))
    values = {}
    for name, field in fields.items():
        if name in plain:
            values[name] = _convert(hints[name], plain[name], f"{where}: {name}", error)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise error(f"'{name}' is missing", where=where, expected=str(hints[name]))
    return kind(**values)


def require_portable(value: Any, where: str, error: type[NexusError]) -> None:
    """Raise ``error`` unless JSON, UTF-8 and AWS can hold every key, text and number in ``value``."""
    rest = [(where, value, 0)]
    while rest:
        place, one, depth = rest.pop()
        if isinstance(one, Mapping):
            rest += [(f"{place}.{key}", inner, depth + 1) for key, inner in one.items()]
            rest += [(place, key, depth) for key in one]  # checked before they are part of a place
        elif isinstance(one, list | tuple):
            rest += [(f"{place}[{number}]", inner, depth + 1) for number, inner in enumerate(one)]
        if expected := "at most 20 levels" if depth > _MOST_LEVELS else _not_portable(one):
            raise error("the value cannot be used", where=place, expected=expected, got=_shown(one))


def _not_portable(value: Any) -> str:
    """Return what a key, text or number should be, or '' if it is portable."""
    if isinstance(value, str) and NOT_PORTABLE.search(value):
        return "text in UTF-8, without the character zero"
    if isinstance(value, float) and not math.isfinite(value):
        return "a finite number"
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return "a whole number of at most 64 bits"
    return ""


def _shown(value: Any) -> str:
    if isinstance(value, int):
        return f"a number of {value.bit_length()} bits"
    return ascii(value)[:100] if isinstance(value, str | float) else type(value).__name__


def _convert(hint: Any, value: Any, where: str, error: type[NexusError]) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in arguments:
            return None
        return _convert(next(a for a in arguments if a is not type(None)), value, where, error)
    if dataclasses.is_dataclass(hint):
        return from_plain(typing.cast(type[Any], hint), value, where=where, error=error)
    if origin is tuple:
        if isinstance(value, list | tuple):
            return tuple(_convert(arguments[0], v, f"{where}[{i}]", error) for i, v in enumerate(value))
    elif origin in (dict, Mapping) or hint is dict:
        if isinstance(value, Mapping):
            inner = arguments[1] if arguments else Any
            return {str(k): _convert(inner, v, f"{where}.{k}", error) for k, v in value.items()}
    elif isinstance(hint, type) and issubclass(hint, enum.Enum):
        try:
            return hint(value)
        except ValueError:
            choices = ", ".join(str(member.value) for member in hint)
            raise error(
                "unknown choice", where=where, expected=f"one of {choices}", got=repr(value)
            ) from None
    elif hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):  # an integer beyond the largest float
            return float(value)
    elif isinstance(hint, type) and isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
        return value
    name = getattr(hint, "__name__", str(hint))
    raise error("wrong type", where=where, expected=name, got=f"{value!r} ({type(value).__name__})")
