"""The order of samples is a pure function of (seed, step), has whole epochs, and fits any number of ranks."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.contracts.errors import InputError, RecipeError
from training.packed_tokens import Window
from training.sample_order import BLOCK, Permutation, SampleOrder, mixture_of_present, rank_positions

sizes = st.dictionaries(st.sampled_from("abcd"), st.integers(1, 50), min_size=1)


@given(st.integers(1, 700), st.integers())
def test_permutation_visits_each_index_once(size: int, key: int) -> None:
    assert sorted(map(Permutation(size, key), range(size))) == list(range(size))


@given(sizes, st.integers(0, 9))
def test_every_epoch_visits_each_window_once_in_another_order(windows: dict[str, int], seed: int) -> None:
    order = SampleOrder(windows, {}, seed)
    total = sum(windows.values())
    everything = {Window(name, number) for name, count in windows.items() for number in range(count)}
    epochs = [[order.sample(epoch * total + i) for i in range(total)] for epoch in range(3)]
    for epoch in epochs:
        assert len(epoch) == len(set(epoch))
        assert set(epoch) == everything
    if total > 20:
        assert epochs[0] != epochs[1]


@settings(max_examples=10)
@given(st.integers(0, 9), st.floats(0.05, 0.95))
def test_mixture_gives_each_subset_its_share_and_whole_epochs_of_its_own(seed: int, share: float) -> None:
    windows = {"code": 300, "prose": 700}
    order = SampleOrder(windows, {"code": share, "prose": 1 - share}, seed)
    samples = [order.sample(i) for i in range(2 * BLOCK)]
    drawn = Counter(sample.subset for sample in samples)
    assert abs(drawn["code"] / len(samples) - share) < 2 / BLOCK
    for name, count in windows.items():
        numbers = [sample.number for sample in samples if sample.subset == name]
        whole = len(numbers) // count
        for epoch in range(whole):
            assert sorted(numbers[epoch * count : (epoch + 1) * count]) == list(range(count))


@given(st.integers(0, 10**9), st.integers(0, 9))
def test_a_sample_does_not_depend_on_what_was_asked_before(position: int, seed: int) -> None:
    windows, mixture = {"a": 90, "b": 11}, {"a": 1.0, "b": 2.0}
    used = SampleOrder(windows, mixture, seed)
    for earlier in range(0, 300, 7):
        used.sample(earlier)
    assert used.sample(position) == SampleOrder(windows, mixture, seed).sample(position)


@given(st.integers(0, 1000), st.sampled_from([1, 2, 4]), st.sampled_from([1, 2, 8]))
def test_ranks_share_the_global_batch_without_gap_or_overlap(step: int, ranks: int, micro: int) -> None:
    shares = [rank_positions(step, 16, micro, rank, ranks) for rank in range(ranks)]
    flat = [position for share in shares for batch in share for position in batch]
    assert sorted(flat) == list(range(step * 16, step * 16 + 16))


def test_a_batch_that_cannot_be_dealt_to_the_ranks_is_refused() -> None:
    with pytest.raises(RecipeError, match="cannot be divided evenly among 3 ranks"):
        rank_positions(0, 16, 8, 0, 3)


def test_of_a_mixture_only_what_the_corpus_has_is_left_in_its_proportions() -> None:
    assert mixture_of_present({"a": 3.0, "b": 1.0, "gone": 9.0}, {"a": 5, "b": 1, "c": 4}) == {
        "a": 3.0,
        "b": 1.0,
    }
    assert mixture_of_present({"a": 3.0, "short": 1.0}, {"a": 5, "short": 0}) == {"a": 3.0}
    assert mixture_of_present({}, {"a": 5}) == {}
    with pytest.raises(RecipeError, match="no subset of the mixture"):
        mixture_of_present({"gone": 1.0, "a": 0.0}, {"a": 5})


def test_a_mixture_of_an_unknown_subset_names_those_that_there_are() -> None:
    with pytest.raises(RecipeError, match=r"no subset 'poetry'.*expected among code, prose"):
        SampleOrder({"code": 5, "prose": 5}, {"poetry": 1.0}, 1)


def test_a_corpus_shorter_than_a_window_is_refused() -> None:
    with pytest.raises(InputError, match=r"no subset is as long as one window"):
        SampleOrder({"code": 0}, {}, 1)
