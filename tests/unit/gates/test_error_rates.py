"""Error rates of the gate by simulation, with fixed seeds: bad models rarely pass, equal ones usually do."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from include.contracts.evaluation import EvaluationReport, ModelScores, Outcome, SubsetScore
from include.contracts.manifests import ParentRef
from include.gates.judge import becomes_anchor, judge
from include.recipes.gate import GateRecipe

RECIPE = GateRecipe(name="test")
TOKENS = 100
Sample = npt.NDArray[np.float64]
#: Differences of documents with mean 0. In most of them, a rare document is much worse than the others.
FAMILIES: dict[str, Callable[[np.random.Generator, int], Sample]] = {
    "normal": lambda source, n: source.normal(size=n),
    "heavy on both sides": lambda source, n: source.standard_t(3, size=n),
    "exponential": lambda source, n: source.exponential(size=n) - 1,
    "lognormal": lambda source, n: np.exp(1.5 * source.normal(size=n)) - math.exp(1.125),
    "pareto": lambda source, n: source.pareto(2.5, size=n) - 1 / 1.5,
    "one in twenty": lambda source, n: 10 * (source.random(n) < 0.05) + source.normal(size=n) - 0.5,
}
PARENT = ParentRef("s3://b/k", "0")


def scores(name: str, subsets: dict[str, Sample]) -> ModelScores:
    found = {}
    for subset, per_token in subsets.items():
        losses, count = tuple(float(x) * TOKENS for x in per_token), len(per_token)
        mean = math.fsum(losses) / (TOKENS * count)
        found[subset] = SubsetScore(count, TOKENS * count, 1, mean, 1.0, mean, losses)
    return ModelScores(name, found)


def report(
    candidate: dict[str, Sample], champion: dict[str, Sample], anchor: dict[str, Sample] | None = None
) -> EvaluationReport:
    return EvaluationReport(
        candidate=scores("candidate", candidate),
        baseline=scores("champion", champion),
        baseline_is_champion=True,
        document_ids={name: tuple(map(str, range(len(values)))) for name, values in champion.items()},
        document_tokens={name: (TOKENS,) * len(values) for name, values in champion.items()},
        model=PARENT,
        corpus=PARENT,
        seconds=1.0,
        anchor_scores=scores("anchor", anchor) if anchor else None,
    )


def outcome(differences: Sample) -> Outcome:
    """Judge one subset, the only one, with these differences per token."""
    champion = np.full(len(differences), 5.0)
    verdict = judge(report({"x": champion + differences}, {"x": champion}), RECIPE)
    return verdict.reasons[0].outcome


@pytest.mark.parametrize("documents", [20, 30, 100, 1000])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_that_is_worse_by_the_margin_passes_at_most_one_time_in_twenty(
    family: str, documents: int
) -> None:
    source = np.random.default_rng(documents)
    trials = 400 if documents < 1000 else 120
    passed = sum(
        outcome(RECIPE.margin_nats + 0.2 * FAMILIES[family](source, documents)) is Outcome.PASS
        for _ in range(trials)
    )
    allowed = 0.05 * trials
    assert passed <= allowed + 3 * math.sqrt(allowed * 0.95)
    if documents < RECIPE.min_documents:
        assert passed == 0


@pytest.mark.parametrize("spread", [0.05, 0.2, 0.5])
def test_an_equal_model_passes_nine_times_in_ten_whatever_its_documents_vary(spread: float) -> None:
    """Eight small subsets, and a large one that makes the average precise."""
    source, trials, passed = np.random.default_rng(7), 100, 0
    sizes = {f"small-{number}": 30 + 5 * number for number in range(8)} | {
        "large": math.ceil((4 * spread / RECIPE.margin_nats) ** 2)
    }
    for _ in range(trials):
        champion = {name: source.normal(5, 1, size=count) for name, count in sizes.items()}
        candidate = {name: c + source.normal(0, spread, size=len(c)) for name, c in champion.items()}
        passed += judge(report(candidate, champion), RECIPE).outcome is Outcome.PASS
    assert passed >= 0.9 * trials


@pytest.mark.parametrize("worse", [0.5, 1.0])
def test_a_ruined_small_subset_does_not_hide_behind_its_spread(worse: float) -> None:
    source, passed = np.random.default_rng(8), 0
    for _ in range(100):
        champion = {"large": np.full(3000, 5.0), "small": np.full(40, 5.0)}
        ruined = 5.0 + worse + source.normal(0, 0.4, size=40)
        candidate = {"large": champion["large"] - 0.05, "small": ruined}
        passed += judge(report(candidate, champion), RECIPE).outcome is Outcome.PASS
    assert passed <= 5


def test_one_catastrophic_document_of_a_subset_does_not_earn_it_a_wide_margin() -> None:
    champion = {"large": np.full(3000, 5.0), "small": np.full(30, 5.0)}
    candidate = {name: values.copy() for name, values in champion.items()}
    candidate["small"][3] += 15
    verdict = judge(report(candidate, champion), RECIPE)
    assert {r.metric: r.outcome for r in verdict.reasons}["subset small"] is Outcome.INCONCLUSIVE


def test_many_refreshes_that_each_lose_a_little_lose_at_most_one_margin_in_all() -> None:
    source = np.random.default_rng(9)
    quality = champion = anchor = 5.0
    documents = source.normal(0, 1, size=1000)
    lost = []
    for _ in range(20):
        quality = champion + 0.012

        def noisy(level: float) -> dict[str, Sample]:
            return {"x": level + documents + source.normal(0, 0.03, size=1000)}

        judged = report(noisy(quality), noisy(champion), noisy(anchor) if anchor != champion else None)
        if judge(judged, RECIPE).outcome is Outcome.PASS:
            anchor = quality if becomes_anchor(judged, RECIPE) else anchor
            champion = quality
        lost.append(champion - 5.0)
    assert 0 < max(lost) <= RECIPE.margin_nats


@pytest.mark.parametrize(("lost", "spread"), [(0.002, 0.15), (0.006, 0.2), (0.012, 0.2), (0.012, 0.3)])
def test_chance_does_not_move_the_anchor_so_that_many_refreshes_lose_more_than_one_margin(
    lost: float, spread: float
) -> None:
    """At most one in ten of 40 sequences of refreshes may lose more than one margin."""
    exceeded = 0
    for seed in range(40):
        source = np.random.default_rng(seed)
        champion = anchor = 5.0
        documents = source.normal(0, 1, size=1000)
        for _ in range(20):
            levels = (champion + lost, champion, anchor)
            new, old, best = (level + documents + source.normal(0, spread, 1000) for level in levels)
            judged = report({"x": new}, {"x": old}, {"x": best} if anchor != champion else None)
            if judge(judged, RECIPE).outcome is Outcome.PASS:
                champion += lost
                anchor = champion if becomes_anchor(judged, RECIPE) else anchor
        exceeded += champion - 5.0 > RECIPE.margin_nats + 1e-9
    assert exceeded <= 4


def test_a_candidate_that_is_better_only_by_chance_does_not_become_the_anchor() -> None:
    source = np.random.default_rng(1)
    champion = source.normal(5, 1, size=400)
    noise = source.normal(0, 0.1, size=400)
    noise -= noise.mean()
    assert not becomes_anchor(report({"x": champion + noise - 0.005}, {"x": champion}), RECIPE)
    assert becomes_anchor(report({"x": champion + noise - 0.05}, {"x": champion}), RECIPE)


def test_a_better_candidate_becomes_the_anchor_and_a_worse_one_does_not() -> None:
    same = np.full(60, 5.0)
    assert becomes_anchor(report({"x": same - 0.1}, {"x": same}), RECIPE)
    assert not becomes_anchor(report({"x": same}, {"x": same}), RECIPE)
    assert not becomes_anchor(report({"x": same - 0.1}, {"x": same}, anchor={"x": same - 0.2}), RECIPE)
    assert becomes_anchor(report({"x": same - 0.3}, {"x": same}, anchor={"x": same - 0.2}), RECIPE)


def test_long_documents_count_by_their_tokens_and_lengthen_the_interval() -> None:
    from include.gates.paired import paired_difference

    source = np.random.default_rng(10)
    tokens = [100] * 99 + [100_000]
    losses = [float(t * x) for t, x in zip(tokens, source.normal(0, 0.05, size=100), strict=True)]
    found = paired_difference(losses, [0.0] * 100, tokens)
    assert found.effective_documents < 1.3
    assert found.upper(0.95) == math.inf
