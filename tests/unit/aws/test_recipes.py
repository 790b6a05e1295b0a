from __future__ import annotations

import pytest

from include.aws.recipes import chosen_recipe
from include.contracts.errors import RecipeError
from include.recipes.training import TrainingRecipe


def test_overrides_replace_single_values_of_a_section() -> None:
    plain = chosen_recipe(TrainingRecipe, "trainings", "tiny", None)
    changed = chosen_recipe(
        TrainingRecipe, "trainings", "tiny", {"steps": 7, "optimiser": {"learning_rate": 0.5}}
    )
    assert (changed.steps, changed.optimiser.learning_rate) == (7, 0.5)
    assert changed.optimiser.warmup_steps == plain.optimiser.warmup_steps


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        ({"stepz": 1}, "unknown key 'stepz'"),
        ({"steps": 0}, "steps"),
        ({"optimiser": {"learning_rate": "fast"}}, "learning_rate"),
        ({"optimiser": 3}, "optimiser"),
        ({"name": "../../evil"}, "keeps its name"),
    ],
)
def test_impossible_override_is_refused_by_name(overrides: dict[str, object], named: str) -> None:
    with pytest.raises(RecipeError, match=named):
        chosen_recipe(TrainingRecipe, "trainings", "tiny", overrides)
