"""A packaged recipe with a run's overrides, validated as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from include.contracts.errors import RecipeError
from include.contracts.records import from_plain, require_portable, to_plain
from include.recipes.corpus import CorpusRecipe, with_profile
from include.recipes.loading import packaged_recipe

T = TypeVar("T")


def chosen_recipe(kind: type[T], family: str, name: str, overrides: Mapping[str, Any] | None) -> T:
    """Return the packaged recipe ``name`` with ``overrides`` merged in, section by section.

    An unknown key or an impossible value is a RecipeError that names it.
    """
    return _overridden(packaged_recipe(kind, family, name), f"{family}/{name}", overrides)


def chosen_corpus_recipe(name: str, profile: str, overrides: Mapping[str, Any] | None) -> CorpusRecipe:
    """Return a corpus recipe with a near dedup profile, unless it is empty, and then with ``overrides``."""
    recipe = packaged_recipe(CorpusRecipe, "corpora", name)
    if profile:
        recipe = with_profile(recipe, profile)
    return _overridden(recipe, f"corpora/{name}", overrides)


def _overridden(recipe: T, where: str, overrides: Mapping[str, Any] | None) -> T:
    if not overrides:
        return recipe
    require_portable(overrides, "recipe_overrides", RecipeError)
    plain = to_plain(recipe)
    if overrides.get("name", plain["name"]) != plain["name"]:
        expected, got = plain["name"], repr(overrides["name"])[:100]
        raise RecipeError(
            "a recipe keeps its name", where="recipe_overrides.name", expected=expected, got=got
        )
    merged = _merge(plain, overrides)
    return from_plain(type(recipe), merged, where=f"{where} with overrides", error=RecipeError)


def _merge(base: dict[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in overrides.items():
        section = merged.get(key)
        both = isinstance(section, dict) and isinstance(value, Mapping)
        merged[key] = _merge(section, value) if both and section is not None else value
    return merged
