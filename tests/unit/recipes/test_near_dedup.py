from __future__ import annotations

from dataclasses import replace

import pytest

from include.contracts.errors import RecipeError
from include.recipes.corpus import CorpusRecipe, with_profile
from include.recipes.loading import recipe_from_toml, recipe_names
from include.recipes.near_dedup import NearDedupRecipe, profile


def test_default_is_fineweb() -> None:
    assert profile("fineweb") == NearDedupRecipe() == CorpusRecipe(name="any").near_dedup


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("fineweb", ("word", 5, 14, 8, 0.75)),
        ("slimpajama", ("character", 13, 9, 13, 0.8)),
        ("redpajama_v2", ("word", 13, 9, 13, 0.8)),
        ("bigcode", ("word", 5, 25, 10, 0.7)),
    ],
)
def test_profile_has_the_published_parameters(name: str, published: tuple[object, ...]) -> None:
    recipe = profile(name)
    assert (recipe.shingle, recipe.ngram, recipe.bands, recipe.rows, recipe.threshold) == published


@pytest.mark.parametrize("name", recipe_names("near_dedup_profiles"))
def test_half_of_the_pairs_are_found_within_a_tenth_of_the_threshold(name: str) -> None:
    recipe = profile(name)
    half = (1 - 0.5 ** (1 / recipe.bands)) ** (1 / recipe.rows)
    assert half == pytest.approx(recipe.threshold, abs=0.1)


def test_unknown_profile_lists_the_known_ones() -> None:
    with pytest.raises(RecipeError, match="bigcode, fineweb, redpajama_v2, slimpajama"):
        profile("pile")


def test_with_profile_keeps_the_rest_of_the_recipe_and_its_seed() -> None:
    recipe = CorpusRecipe(name="mine", near_dedup=NearDedupRecipe(seed=7), shard_tokens=5)
    changed = with_profile(recipe, "slimpajama")
    assert changed.near_dedup == replace(profile("slimpajama"), seed=7)
    assert replace(changed, near_dedup=recipe.near_dedup) == recipe


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("ngram = 0", "near_dedup.ngram"),
        ('shingle = "line"', "near_dedup.shingle"),
        ('fold = "none"', "near_dedup.fold"),
        ('shingle = "character"', "near_dedup.fold"),
        ("min_units = 0", "near_dedup.min_units"),
        ("bands = 257", "near_dedup.bands"),
        ("rows = 0", "near_dedup.rows"),
        ("threshold = 1.5", "near_dedup.threshold"),
        ("ngram_words = 5", "unknown key 'ngram_words'"),
    ],
)
def test_impossible_value_is_refused_by_name(line: str, named: str) -> None:
    with pytest.raises(RecipeError, match=named):
        recipe_from_toml(NearDedupRecipe, line, where="test")
