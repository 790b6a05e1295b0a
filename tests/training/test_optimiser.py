"""The learning rate rises in a line, falls by a cosine, and ends at its final share."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.recipes.training import OptimiserRecipe
from training.optimiser import learning_rate

RECIPE = OptimiserRecipe(learning_rate=0.5, warmup_steps=4, final_share=0.2)


def test_the_rate_rises_by_the_same_amount_and_is_at_its_peak_after_the_warm_up() -> None:
    assert [learning_rate(RECIPE, step, 15) for step in range(5)] == [0.125, 0.25, 0.375, 0.5, 0.5]


def test_the_rate_is_halfway_in_the_middle_and_at_its_share_in_the_last_step() -> None:
    assert learning_rate(RECIPE, 9, 15) == pytest.approx(0.5 * (0.2 + 0.8 * 0.5))
    assert learning_rate(RECIPE, 14, 15) == pytest.approx(0.5 * 0.2)
    assert learning_rate(RECIPE, 40, 15) == pytest.approx(0.5 * 0.2)


@pytest.mark.parametrize(("steps", "shares"), [(5, [1.0]), (6, [1.0, 0.2]), (7, [1.0, 0.6, 0.2])])
def test_a_short_run_also_falls_to_its_share(steps: int, shares: list[float]) -> None:
    found = [learning_rate(RECIPE, step, steps) / 0.5 for step in range(4, steps)]
    assert found == pytest.approx(shares)


@given(st.integers(0, 20), st.integers(1, 60), st.floats(0, 1))
def test_the_rate_never_leaves_the_range_of_its_recipe(warmup: int, steps: int, share: float) -> None:
    recipe = OptimiserRecipe(learning_rate=0.5, warmup_steps=warmup, final_share=share)
    rates = [learning_rate(recipe, step, steps) for step in range(steps)]
    assert all(0.5 * share * (1 - 1e-12) <= rate <= 0.5 for rate in rates[warmup:])
    assert all(0 < rate <= 0.5 for rate in rates[:warmup])
    assert rates[warmup:] == sorted(rates[warmup:], reverse=True)
