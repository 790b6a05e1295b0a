from __future__ import annotations

import pytest

from include.contracts.errors import SettingsError
from include.recipes.loading import recipe_names, require_recipe


@pytest.mark.parametrize("family", ["corpora", "trainings"])
def test_a_recipe_that_the_settings_name_wrongly_is_told_with_its_key(family: str) -> None:
    known = recipe_names(family)[0]
    assert require_recipe(family, known, "corpus.recipe") == known
    with pytest.raises(SettingsError, match=rf"corpus\.recipe: no such recipe.*{known}.*'standrad'"):
        require_recipe(family, "standrad", "corpus.recipe")
