from __future__ import annotations

import pytest

from include.contracts.errors import RecipeError
from include.recipes.loading import packaged_recipe, recipe_names
from include.recipes.training import TrainingRecipe


@pytest.mark.parametrize("name", recipe_names("trainings"))
def test_every_packaged_recipe_is_valid_and_has_the_name_of_its_file(name: str) -> None:
    assert packaged_recipe(TrainingRecipe, "trainings", name).name == name


def test_the_pile_has_the_22_subsets_of_its_paper_in_percent() -> None:
    recipe = packaged_recipe(TrainingRecipe, "trainings", "the_pile")
    assert len(recipe.mixture) == 22
    assert sum(recipe.mixture.values()) == pytest.approx(100.0)
    assert recipe.mixture_absent == "leave_out"


def test_a_rule_for_absent_subsets_that_does_not_exist_is_refused() -> None:
    with pytest.raises(RecipeError, match="refuse or leave_out"):
        TrainingRecipe("x", mixture_absent="guess")
