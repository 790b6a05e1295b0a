from __future__ import annotations

import pytest

from include.contracts.errors import RecipeError, SettingsError
from include.recipes.loading import recipe_from_toml, recipe_names, require_recipe
from include.recipes.source import Source


@pytest.mark.parametrize("family", ["corpora", "trainings"])
def test_a_recipe_that_the_settings_name_wrongly_is_told_with_its_key(family: str) -> None:
    known = recipe_names(family)[0]
    assert require_recipe(family, known, "corpus.recipe") == known
    with pytest.raises(SettingsError, match=rf"corpus\.recipe: no such recipe.*{known}.*'standrad'"):
        require_recipe(family, "standrad", "corpus.recipe")


@pytest.mark.parametrize(
    "text", ["name", "name = " + "[" * 10_000, "name = " + "9" * 5000], ids=["cut", "deep", "long"]
)
def test_a_text_that_is_no_toml_is_named(text: str) -> None:
    with pytest.raises(RecipeError, match=r"own\.toml: not valid TOML"):
        recipe_from_toml(Source, text, where="own.toml")
