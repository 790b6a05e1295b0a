"""Read recipes from TOML files. An unknown key or an impossible value is refused by name."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Any, TypeVar

from include.contracts.errors import RecipeError, SettingsError
from include.contracts.records import from_plain

T = TypeVar("T")

#: The package's data, also where the package is imported from a zip (spark-submit --py-files).
_FOLDER = files("include.recipes")


def recipe_names(family: str) -> list[str]:
    """Names of the packaged recipes of ``corpora``, ``trainings`` or ``gates``, sorted."""
    names = (entry.name for entry in (_FOLDER / family).iterdir())
    return sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml"))


def packaged_recipe(kind: type[T], family: str, name: str) -> T:
    """Return the packaged recipe ``name``; RecipeError lists the known ones."""
    path = _FOLDER / family / f"{name}.toml"
    if name not in recipe_names(family):
        known = ", ".join(recipe_names(family))
        raise RecipeError("no such recipe", where=family, expected=f"one of {known}", got=repr(name))
    return recipe_from_toml(kind, path.read_text(), where=f"recipes/{family}/{name}.toml")


def require_recipe(family: str, name: str, setting: str) -> str:
    """Return the recipe name of a setting. Raises SettingsError if no packaged recipe has it."""
    known = recipe_names(family)
    if name not in known:
        expected = f"one of {', '.join(known)}"
        raise SettingsError("no such recipe", where=setting, expected=expected, got=repr(name))
    return name


def recipe_from_toml(kind: type[T], text: str, *, where: str) -> T:
    """Parse and validate a TOML text."""
    try:
        plain: dict[str, Any] = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"not valid TOML ({error})", where=where) from error
    return from_plain(kind, plain, where=where, error=RecipeError)


def require(condition: bool, field: str, expected: str, got: object) -> None:
    """Refuse an impossible value of a recipe, naming the field."""
    if not condition:
        raise RecipeError("impossible value", where=field, expected=expected, got=repr(got))
