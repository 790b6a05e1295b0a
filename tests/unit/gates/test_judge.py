"""The gate passes what is shown to be good, fails what is shown to be bad, and says when it cannot tell."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.contracts.errors import ContractError
from include.contracts.evaluation import EvaluationReport, ModelScores, Outcome, SubsetScore, Verdict
from include.contracts.manifests import ParentRef
from include.gates.judge import judge
from include.gates.paired import holm, paired_difference
from include.recipes.gate import GateRecipe

RECIPE = GateRecipe(name="test")
Losses = dict[str, list[float]]
Tokens = dict[str, list[int]]


def scores(name: str, losses: Losses, tokens: Tokens) -> ModelScores:
    subsets = {}
    for subset, values in losses.items():
        count = sum(tokens[subset])
        mean = math.fsum(values) / count
        perplexity = math.exp(min(mean, 50))
        subsets[subset] = SubsetScore(len(values), count, count * 4, mean, perplexity, mean, tuple(values))
    return ModelScores(name, subsets)


def report(
    candidate: Losses, baseline: Losses, *, champion: bool = True, tokens: Tokens | None = None
) -> EvaluationReport:
    tokens = tokens or {subset: [100] * len(values) for subset, values in candidate.items()}
    parent = ParentRef("s3://b/k", "0")
    return EvaluationReport(
        candidate=scores("candidate", candidate, tokens),
        baseline=scores("champion" if champion else "unigram", baseline, tokens),
        baseline_is_champion=champion,
        document_ids={s: tuple(f"{s}/{i}" for i in range(len(v))) for s, v in candidate.items()},
        document_tokens={s: tuple(v) for s, v in tokens.items()},
        model=parent,
        corpus=parent,
        seconds=1.0,
    )


def noisy(mean_nats: float, count: int = 60, spread: float = 5.0, seed: int = 0) -> list[float]:
    source = random.Random(seed)
    return [100 * mean_nats + source.gauss(0, spread) for _ in range(count)]


def test_a_candidate_equal_to_the_champion_passes() -> None:
    losses = {"code": noisy(5.0), "prose": noisy(4.0, seed=1)}
    assert judge(report(losses, losses), RECIPE).outcome is Outcome.PASS


def test_a_clearly_worse_candidate_fails_with_the_numbers_in_the_reason() -> None:
    champion = {"code": noisy(5.0)}
    candidate = {"code": [loss + 30 for loss in champion["code"]]}
    verdict = judge(report(candidate, champion), RECIPE)
    assert verdict.outcome is Outcome.FAIL
    assert "+0.300 nats per token" in verdict.reasons[0].text
    assert "allowed +0.02" in verdict.reasons[0].text


def test_a_difference_that_the_data_cannot_tell_from_the_margin_is_inconclusive() -> None:
    champion = {"code": noisy(5.0, spread=80)}
    candidate = {"code": noisy(5.0, spread=80, seed=9)}
    assert judge(report(candidate, champion), RECIPE).outcome is Outcome.INCONCLUSIVE


def test_one_ruined_subset_fails_a_candidate_that_is_better_on_the_whole() -> None:
    champion = {"code": noisy(5.0, count=200), "prose": noisy(4.0, count=30)}
    candidate = {
        "code": [loss - 20 for loss in champion["code"]],
        "prose": [loss + 40 for loss in champion["prose"]],
    }
    verdict = judge(report(candidate, champion), RECIPE)
    assert verdict.outcome is Outcome.FAIL
    by_metric = {reason.metric: reason.outcome for reason in verdict.reasons}
    assert by_metric == {
        "loss against champion": Outcome.PASS,
        "subset code": Outcome.PASS,
        "subset prose": Outcome.FAIL,
    }


def test_a_subset_that_only_chance_would_fail_among_many_is_not_claimed_to_have_failed() -> None:
    # its own interval lies just above the margin; that it is one of thirty is what Holm's correction counts
    champion = {f"s{i:02d}": noisy(5.0, seed=i) for i in range(30)}
    source = random.Random(3)
    candidate = {name: [loss + source.gauss(0, 5) for loss in losses] for name, losses in champion.items()}
    margin = 100 * RECIPE.subset_margin_nats  # a document has 100 tokens
    candidate["s07"] = [
        loss + margin + shift for loss, shift in zip(champion["s07"], shifts(60), strict=True)
    ]
    alone = judge(report({"s07": candidate["s07"]}, {"s07": champion["s07"]}), RECIPE)
    among = judge(report(candidate, champion), RECIPE)
    assert outcome_of(alone, "subset s07") is Outcome.FAIL
    assert outcome_of(among, "subset s07") is Outcome.INCONCLUSIVE


def shifts(count: int) -> list[float]:
    """Noise of which the mean lies three standard errors above 0."""
    source = random.Random(11)
    drawn = [source.gauss(0, 5) for _ in range(count)]
    mean = math.fsum(drawn) / count
    deviation = math.sqrt(math.fsum((x - mean) ** 2 for x in drawn) / (count - 1))
    return [x - mean + 3 * deviation / math.sqrt(count) for x in drawn]


def outcome_of(verdict: Verdict, metric: str) -> Outcome:
    return next(reason.outcome for reason in verdict.reasons if reason.metric == metric)


def test_a_subset_too_small_to_judge_alone_is_named_and_counts_in_the_whole() -> None:
    champion = {"code": noisy(5.0), "tiny": [400.0] * 3}
    verdict = judge(report(champion, champion), RECIPE)
    assert verdict.outcome is Outcome.PASS
    assert "too small to judge alone: tiny" in verdict.reasons[0].text
    assert not any(reason.metric == "subset tiny" for reason in verdict.reasons)


@pytest.mark.parametrize(
    ("gain", "outcome"), [(1.0, Outcome.PASS), (0.5, Outcome.INCONCLUSIVE), (0.1, Outcome.FAIL)]
)
def test_without_a_champion_the_gain_over_the_baseline_decides(gain: float, outcome: Outcome) -> None:
    baseline = {"code": [700.0] * 60}
    candidate = {"code": noisy(7.0 - gain)}
    assert judge(report(candidate, baseline, champion=False), RECIPE).outcome is outcome


def test_too_few_documents_are_inconclusive_however_good_the_candidate() -> None:
    verdict = judge(report({"code": [1.0] * 4}, {"code": [900.0] * 4}, champion=False), RECIPE)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "4 held-out documents, needed 30" in verdict.reasons[0].text


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_loss_that_is_no_number_fails_the_candidate_and_stalls_on_the_champion(broken: float) -> None:
    good, bad = {"code": noisy(5.0)}, {"code": [broken, *noisy(5.0)[1:]]}
    assert judge(report(bad, good), RECIPE).outcome is Outcome.FAIL
    assert judge(report(good, bad), RECIPE).outcome is Outcome.INCONCLUSIVE


def test_a_report_on_different_documents_is_refused() -> None:
    whole = report({"code": noisy(5.0)}, {"code": noisy(5.0)})
    torn = report({"code": noisy(5.0)}, {"code": noisy(5.0)[1:]}, tokens={"code": [100] * 60})
    assert judge(whole, RECIPE)
    with pytest.raises(ContractError, match="not scored on the same documents"):
        judge(torn, RECIPE)


@given(st.lists(st.floats(1, 1000), min_size=30, max_size=60), st.floats(0, 100), st.floats(0, 100))
def test_making_a_candidate_worse_never_improves_its_verdict(
    champion: list[float], penalty: float, more: float
) -> None:
    order = [Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.PASS]
    less_bad = judge(report({"x": [c + penalty for c in champion]}, {"x": champion}), RECIPE).outcome
    worse = judge(report({"x": [c + penalty + more for c in champion]}, {"x": champion}), RECIPE).outcome
    assert order.index(worse) <= order.index(less_bad)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_monotone_and_lies_between_raw_and_bonferroni(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    for raw, corrected in zip(p_values, adjusted, strict=True):
        assert raw <= corrected <= min(1.0, raw * len(p_values)) or math.isclose(
            corrected,
            max(min(1.0, (len(p_values) - rank) * p) for rank, p in enumerate(sorted(p_values)) if p <= raw),
        )
    ranked = [corrected for _, corrected in sorted(zip(p_values, adjusted, strict=True))]
    assert ranked == sorted(ranked)


def test_a_report_without_the_scores_of_its_anchor_is_refused() -> None:
    """An evaluation that has not scored the anchor must not pass on the champion alone."""
    losses = {"code": noisy(5.0)}
    anchor, champion = ParentRef("s3://b/anchor", "1"), ParentRef("s3://b/champion", "2")
    found = replace(report(losses, losses), champion=champion, anchor=anchor)
    with pytest.raises(
        ContractError, match="the anchor was not scored; expected the scores of s3://b/anchor"
    ):
        judge(found, RECIPE)
    assert judge(replace(found, anchor_scores=found.baseline), RECIPE).outcome is Outcome.PASS
    assert judge(replace(found, anchor=champion), RECIPE).outcome is Outcome.PASS
    assert judge(replace(found, anchor=None), RECIPE).outcome is Outcome.PASS


@pytest.mark.parametrize("scale", [1e-200, 1e-120, 1e104, 1e160])
def test_differences_of_any_size_give_the_same_statistics(scale: float) -> None:
    plain = paired_difference([float(i % 7) for i in range(30)], [0.0] * 30, [100] * 30)
    found = paired_difference([scale * (i % 7) for i in range(30)], [0.0] * 30, [100] * 30)
    assert found.mean == pytest.approx(scale * plain.mean, rel=1e-9)
    assert found.standard_error == pytest.approx(scale * plain.standard_error, rel=1e-9)
    assert found.skewness == pytest.approx(plain.skewness)


def test_one_document_that_holds_nearly_all_tokens_leaves_the_interval_unknown() -> None:
    found = paired_difference([1.0] * 30, [0.0] * 30, [10**18] + [1] * 29)
    assert found.effective_documents == pytest.approx(1.0)
    assert found.upper(0.95) == math.inf
