from __future__ import annotations

from dataclasses import replace

import pytest

from include.contracts.errors import RecipeError
from include.recipes.near_dedup import profile
from include.recipes.overrides import chosen_corpus_recipe, chosen_recipe
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
        ({"optimiser": {"gradient_clip": float("inf")}}, "gradient_clip: .*expected a finite number"),
        ({"steps": 10**30}, "steps: .*at most 64 bits"),
        ({"mixture": {"\ud800": 1.0}}, "mixture: .*expected text in UTF-8"),
    ],
)
def test_impossible_override_is_refused_by_name(overrides: dict[str, object], named: str) -> None:
    with pytest.raises(RecipeError, match=named):
        chosen_recipe(TrainingRecipe, "trainings", "tiny", overrides)


def test_a_profile_replaces_the_near_dedup_of_a_corpus_and_an_override_has_the_last_word() -> None:
    chosen = chosen_corpus_recipe("standard", "slimpajama", {"near_dedup": {"verify": True}})
    assert chosen.near_dedup == replace(profile("slimpajama"), verify=True)
    assert chosen.filter == chosen_corpus_recipe("standard", "", None).filter


def test_an_unknown_profile_is_refused_with_the_known_ones() -> None:
    with pytest.raises(RecipeError, match="bigcode, fineweb, redpajama_v2, slimpajama"):
        chosen_corpus_recipe("standard", "nothing", None)
