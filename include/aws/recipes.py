"""A packaged recipe with a run's overrides, validated as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from include.contracts.errors import RecipeError
from include.contracts.records import from_plain, to_plain
from include.recipes.loading import packaged_recipe

T = TypeVar("T")


def chosen_recipe(kind: type[T], family: str, name: str, overrides: Mapping[str, Any] | None) -> T:
    """The packaged recipe ``name`` with ``overrides`` merged in, section by section.

    An unknown key or an impossible value is a RecipeError that names it.
    """
    recipe = packaged_recipe(kind, family, name)
    if not overrides:
        return recipe
    if overrides.get("name", name) != name:
        got = repr(overrides["name"])[:100]
        raise RecipeError("a recipe keeps its name", where="recipe_overrides.name", expected=name, got=got)
    merged = _merge(to_plain(recipe), overrides)
    return from_plain(kind, merged, where=f"{family}/{name} with overrides", error=RecipeError)


def _merge(base: dict[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in overrides.items():
        section = merged.get(key)
        both = isinstance(section, dict) and isinstance(value, Mapping)
        merged[key] = _merge(section, value) if both and section is not None else value
    return merged
