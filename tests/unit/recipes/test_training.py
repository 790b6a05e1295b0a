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


@pytest.mark.parametrize("mixture", [{"a": 0.0}, {"a": 1.5e308, "b": 1.5e308}])
def test_weights_whose_sum_gives_no_shares_are_refused(mixture: dict[str, float]) -> None:
    with pytest.raises(RecipeError, match="mixture: impossible value; expected weights with a finite sum"):
        TrainingRecipe("x", mixture=mixture)


@pytest.mark.parametrize("seed", [-(2**63) - 1, 2**64])
def test_a_seed_that_torch_does_not_accept_is_refused(seed: int) -> None:
    with pytest.raises(
        RecipeError, match="seed: impossible value; expected a whole number of at most 64 bits"
    ):
        TrainingRecipe("x", seed=seed)
    assert TrainingRecipe("x", seed=-(2**63)) and TrainingRecipe("x", seed=2**64 - 1)
