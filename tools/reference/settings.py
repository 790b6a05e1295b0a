"""Write the reference of the settings: every section and field."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import is_dataclass
from typing import get_type_hints

from include.settings.model import Settings
from tools.reference.fields import Field, section_of
from tools.reference.markdown import code, page, prose, table

_INTRODUCTION = """The settings are a TOML file. The environment variable `NEXUS_SETTINGS` chooses it: `dev`
(the default), `prod`, or the path of a file of your own. The packaged files are
[dev.toml](../../include/settings/dev.toml) and [prod.toml](../../include/settings/prod.toml). An unknown key,
a missing field or a value that is not allowed is an error that names the field."""


def settings_page() -> str:
    """Return the page ``settings.md``."""
    kinds = get_type_hints(Settings)
    top = section_of(Settings)
    plain = [field for field in top.fields if not is_dataclass(kinds[field.name])]
    parts = [_INTRODUCTION, "## Top level", _table(plain)]
    for field in top.fields:
        kind = kinds[field.name]
        if is_dataclass(kind) and isinstance(kind, type):
            section = section_of(kind)
            parts += [f"## [{field.name}]", prose(section.summary), _table(section.fields)]
    return page("Settings", *parts)


def _table(rows: Iterable[Field]) -> str:
    return table(("field", "type", "default", "allowed", "description"), map(field_row, rows))


def field_row(field: Field) -> tuple[str, ...]:
    """Return the cells of a field: name, type, default, allowed values, description."""
    default = "required" if field.default is None else code(field.default)
    return (code(field.name), code(field.type), default, field.allowed, field.description)
