from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from include.contracts.errors import RecipeError
from include.contracts.records import from_plain, to_plain
from include.recipes.corpus import FilterRecipe
from include.recipes.loading import recipe_from_toml
from include.recipes.quality import C4Recipe, FineWebRecipe, GopherRecipe, LanguageRecipe, SignalsRecipe

FAMILIES = [GopherRecipe, C4Recipe, FineWebRecipe, LanguageRecipe]


@pytest.mark.parametrize("kind", FAMILIES)
def test_a_family_is_off_until_enabled(kind: Any) -> None:
    assert not kind().enabled
    assert recipe_from_toml(kind, "enabled = true", where="test") == kind(enabled=True)


@pytest.mark.parametrize("kind", [*FAMILIES, SignalsRecipe])
def test_a_recipe_survives_its_plain_form(kind: Any) -> None:
    assert from_plain(kind, to_plain(kind()), where="test") == kind()


def test_gopher_has_the_bounds_of_its_paper() -> None:
    recipe = GopherRecipe()
    assert (recipe.min_words, recipe.max_words) == (50, 100_000)
    assert (recipe.min_mean_word_length, recipe.max_mean_word_length) == (3, 10)
    assert recipe.max_symbol_word_ratio == 0.1
    assert (recipe.max_bullet_line_share, recipe.max_ellipsis_line_share) == (0.9, 0.3)
    assert (recipe.min_alphabetic_word_share, recipe.min_stop_words) == (0.8, 2)
    assert (recipe.max_duplicate_line_share, recipe.max_duplicate_paragraph_share) == (0.3, 0.3)
    assert recipe.max_duplicate_line_character_share == 0.2
    assert recipe.max_duplicate_paragraph_character_share == 0.2
    assert recipe.max_top_ngram_shares == (0.20, 0.18, 0.16)
    assert recipe.max_duplicate_ngram_shares == (0.15, 0.14, 0.13, 0.12, 0.11, 0.10)


def test_c4_and_fineweb_have_the_bounds_of_their_papers() -> None:
    c4, fineweb = C4Recipe(), FineWebRecipe()
    assert (c4.min_words_per_line, c4.min_num_sentences, c4.max_word_length) == (3, 5, 1000)
    assert (fineweb.min_punctuated_line_share, fineweb.min_short_line_share) == (0.12, 0.67)
    assert (fineweb.short_line_length, fineweb.min_duplicate_character_share) == (30, 0.1)
    assert fineweb.max_line_feed_ratio == 0.3


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (GopherRecipe, "min_words", -1),
        (GopherRecipe, "max_words", 49),
        (GopherRecipe, "max_mean_word_length", 2.0),
        (GopherRecipe, "max_symbol_word_ratio", -0.1),
        (GopherRecipe, "min_stop_words", 9),
        (GopherRecipe, "max_bullet_line_share", 1.1),
        (GopherRecipe, "max_duplicate_paragraph_character_share", -0.1),
        (GopherRecipe, "max_top_ngram_shares", [0.2, 0.18]),
        (GopherRecipe, "max_duplicate_ngram_shares", [0.1, 0.1, 0.1, 0.1, 0.1, 2.0]),
        (C4Recipe, "min_words_per_line", -1),
        (C4Recipe, "min_num_sentences", -1),
        (C4Recipe, "max_word_length", -1),
        (GopherRecipe, "words", "spaces"),
        (FineWebRecipe, "words", ""),
        (FineWebRecipe, "min_punctuated_line_share", 1.5),
        (FineWebRecipe, "short_line_length", -1),
        (FineWebRecipe, "max_line_feed_ratio", -1.0),
        (LanguageRecipe, "languages", ["English"]),
        (LanguageRecipe, "min_score", 2.0),
        (LanguageRecipe, "max_characters", -1),
    ],
)
def test_an_impossible_value_is_refused_by_name(kind: Any, field: str, value: Any) -> None:
    with pytest.raises(RecipeError, match=field):
        from_plain(kind, {field: value}, where="test", error=RecipeError)


@pytest.mark.parametrize("kind", [*FAMILIES, FilterRecipe])
def test_every_bound_is_switched_off_by_zero(kind: Any) -> None:
    for field in fields(kind):
        if field.name.startswith(("min_", "max_")):
            off: Any = 0
            if isinstance(field.default, tuple):
                off = [0.0] * len(field.default)
            elif isinstance(field.default, float):
                off = 0.0
            from_plain(kind, {field.name: off}, where="test", error=RecipeError)


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (GopherRecipe, "max_words", 49),
        (GopherRecipe, "max_bullet_line_share", 1.1),
        (C4Recipe, "min_num_sentences", -1),
        (FineWebRecipe, "max_line_feed_ratio", -1.0),
        (LanguageRecipe, "min_score", 2.0),
        (FilterRecipe, "max_characters", 5),
        (FilterRecipe, "min_characters", -5),
    ],
)
def test_a_refused_bound_says_how_to_switch_it_off(kind: Any, field: str, value: Any) -> None:
    with pytest.raises(RecipeError, match=r"0 (to switch|switches) it off"):
        from_plain(kind, {field: value}, where="test", error=RecipeError)
