"""Hides credentials in the requests that the pages show."""

from __future__ import annotations

import re
from typing import Any

_HIDDEN = "••••"
#: Parts of names of credentials. ``token`` is one, but ``tokens`` and ``tokenizer`` are this project's data.
_NAMES = r"secret|token(?!s|iz)|passw|credential|api[_-]?key|private|authorization|signature"
_SECRET = re.compile(_NAMES, re.I)
#: ``name=value``, ``name: value`` and ``--name value`` in a text, also within JSON.
_IN_TEXT = re.compile(
    rf"([\w.-]*(?:{_NAMES})[\w.-]*[\"']?\s*[=:]\s*[\"']?|-[\w.-]*(?:{_NAMES})[\w.-]*\s+)(?:(?:Bearer|Basic)\s+)?[^\s\"']+",
    re.I,
)
#: The password of a URL such as ``https://user:password@host/``.
_IN_URL = re.compile(r"(://[^/\s:@]*:)[^/\s@]+(?=@)")


def masked(value: Any) -> Any:
    """Return a request without the values of names that look like credentials.

    Names are keys of objects, those of pairs such as tags and variables, options and variables in arguments.
    """
    if isinstance(value, dict):
        return _masked_object(value)
    if isinstance(value, list):
        after = [False, *(isinstance(item, str) and _is_secret_option(item) for item in value)]
        return [_HIDDEN if hide else masked(item) for hide, item in zip(after, value, strict=False)]
    if isinstance(value, str):
        return _IN_URL.sub(rf"\1{_HIDDEN}", _IN_TEXT.sub(rf"\1{_HIDDEN}", value))
    return value


def _masked_object(value: dict[str, Any]) -> dict[str, Any]:
    pair = {name.lower(): inner for name, inner in value.items()}
    named = _SECRET.search(str(pair.get("name") or pair.get("key") or ""))
    return {
        name: _HIDDEN
        if not isinstance(inner, dict | list)
        and (_SECRET.search(name) or (named and name.lower() == "value"))
        else masked(inner)
        for name, inner in value.items()
    }


def _is_secret_option(argument: str) -> bool:
    return (
        argument.startswith("-")
        and _SECRET.search(argument) is not None
        and not re.search(r"[=\s]", argument)
    )
