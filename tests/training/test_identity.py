"""Identity of a checkpoint: what fixes the numbers of a run must be equal, what operates it may change."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.contracts.manifests import CheckpointMarker
from include.contracts.records import canonical_json, content_hash, to_plain
from include.recipes.training import OPERATION_FIELDS, ModelRecipe, OptimiserRecipe, TrainingRecipe
from tests.training.corpora import RECIPE
from training.identity import CheckpointIdentity, CheckpointMismatch, differences

CORPUS = "c" * 64
#: Another value for each field of a recipe that decides the numbers.
OTHER: dict[str, Any] = {
    "steps": 13,
    "batch_sequences": 8,
    "seed": 9,
    "precision": "bfloat16",
    "mixture": {"code": 1.0},
    "mixture_absent": "leave_out",
    "model": replace(RECIPE.model, hidden_size=64),
    "optimiser": replace(RECIPE.optimiser, beta2=0.99),
}
OPERATED: dict[str, Any] = {
    "name": "renamed",
    "micro_batch_sequences": 1,
    "checkpoint_every_steps": 3,
    "keep_checkpoints": 9,
    "max_skipped_steps": 0,
}


def identity(recipe: TrainingRecipe, base: str = "", corpus: str = CORPUS) -> CheckpointIdentity:
    return CheckpointIdentity.of(recipe, to_plain(recipe.model.shape()), base, corpus)


def marker(of: CheckpointIdentity, **changes: Any) -> CheckpointMarker:
    written = CheckpointMarker(4, 1, 1, 1, of.recipe_sha256, of.corpus_sha256, (), dict(of.mathematics))
    return replace(written, **changes)


def test_every_field_of_a_recipe_either_operates_the_run_or_belongs_to_its_identity() -> None:
    names = {field.name for field in fields(TrainingRecipe)}
    assert names == set(OPERATED) | set(OTHER)
    assert set(OPERATED) == set(OPERATION_FIELDS)


@pytest.mark.parametrize("name", sorted(OPERATED))
def test_what_operates_a_run_may_change(name: str) -> None:
    changed = replace(RECIPE, **{name: OPERATED[name]})
    identity(changed).require(marker(identity(RECIPE)), "step_4")
    assert identity(changed).recipe_sha256 == identity(RECIPE).recipe_sha256


@pytest.mark.parametrize("name", sorted(OTHER))
def test_what_fixes_the_numbers_may_not_change_and_is_named(name: str) -> None:
    changed = replace(RECIPE, **{name: OTHER[name]})
    with pytest.raises(CheckpointMismatch, match=rf"was made with another recipe; expected {name}"):
        identity(changed).require(marker(identity(RECIPE)), "step_4")
    assert identity(changed).recipe_sha256 != identity(RECIPE).recipe_sha256


def test_every_difference_is_named_with_both_values() -> None:
    changed = replace(RECIPE, seed=2, optimiser=replace(RECIPE.optimiser, learning_rate=0.1))
    with pytest.raises(CheckpointMismatch) as refusal:
        identity(changed).require(marker(identity(RECIPE)), "step_4")
    assert "expected optimiser.learning_rate 0.1; seed 2; got optimiser.learning_rate 0.005; seed 1" in str(
        refusal.value
    )


def test_another_base_model_or_corpus_is_refused() -> None:
    with pytest.raises(
        CheckpointMismatch, match=r"base_model_uri 's3://b/two/'; got base_model_uri 's3://b/o"
    ):
        identity(RECIPE, "s3://b/two/").require(marker(identity(RECIPE, "s3://b/one/")), "step_4")
    with pytest.raises(CheckpointMismatch, match="was made with another corpus"):
        identity(RECIPE, corpus="d" * 64).require(marker(identity(RECIPE)), "step_4")


LEAVES = [
    ("seed",),
    ("precision",),
    ("mixture",),
    ("mixture_absent",),
    ("base_model_uri",),
    *[("optimiser", field.name) for field in fields(OptimiserRecipe)],
    *[("model", field.name) for field in fields(ModelRecipe)],
]


@given(st.sets(st.sampled_from(LEAVES)))
def test_an_absent_field_equals_its_default(absent: set[tuple[str, ...]]) -> None:
    """As after a release that added these fields: its checkpoints resume, with the defaults."""
    recipe = TrainingRecipe("default")
    earlier = to_plain(identity(recipe).mathematics)
    for *parents, name in absent:
        target = earlier
        for parent in parents:
            target = target[parent]
        del target[name]
    identity(recipe).require(marker(identity(recipe), mathematics=earlier), "step_4")
    assert differences(earlier, identity(recipe).mathematics) == []


@pytest.mark.parametrize("leaf", LEAVES, ids=".".join)
def test_a_value_that_is_not_the_default_does_not_equal_an_absent_field(leaf: tuple[str, ...]) -> None:
    ours = to_plain(identity(TrainingRecipe("default")).mathematics)
    earlier = to_plain(ours)
    *parents, name = leaf
    target, other = earlier, ours
    for parent in parents:
        target, other = target[parent], other[parent]
    del target[name]
    other[name] = "another"
    assert [field for field, _, _ in differences(earlier, ours)] == [".".join(leaf)]


def test_a_field_that_this_release_does_not_know_is_a_difference() -> None:
    later = to_plain(identity(RECIPE).mathematics) | {"z_loss": 0.1}
    with pytest.raises(CheckpointMismatch, match=r"expected z_loss 'absent'; got z_loss 0\.1"):
        identity(RECIPE).require(marker(identity(RECIPE), mathematics=later), "step_4")


def first_release(recipe: TrainingRecipe) -> CheckpointMarker:
    """Make the marker that the first release wrote: a hash of the whole recipe, and no mathematics."""
    plain = to_plain(recipe) | {"model": to_plain(recipe.model.shape())}
    del plain["max_skipped_steps"]
    return marker(identity(recipe), recipe_sha256=content_hash(canonical_json(plain)), mathematics={})


@pytest.mark.parametrize("micro", [1, 2, 4])
def test_a_marker_of_the_first_release_is_known_with_any_micro_batch(micro: int) -> None:
    identity(replace(RECIPE, micro_batch_sequences=micro)).require(first_release(RECIPE), "step_4")


def test_a_marker_of_the_first_release_is_refused_for_another_recipe() -> None:
    with pytest.raises(CheckpointMismatch, match="was made with another recipe"):
        identity(replace(RECIPE, seed=2)).require(first_release(RECIPE), "step_4")
