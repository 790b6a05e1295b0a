"""A difference exactly at a threshold is decided as the threshold says: at most passes, at least suffices.

Every document has the same difference, so the interval has no width and lies at the threshold itself.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from include.contracts.evaluation import EvaluationReport, Outcome
from include.gates.comparison import difference
from include.gates.judge import becomes_anchor, judge
from include.recipes.gate import GateRecipe
from tests.unit.gates.test_judge import Losses, noisy, outcome_of, report

TOKENS = 100
RECIPE = GateRecipe(
    name="test", margin_nats=0.25, min_gain_nats=0.5, subset_margin_nats=0.5, min_subset_documents=40
)


def worse(nats: float, count: int = 60) -> tuple[Losses, Losses]:
    """Return a candidate that is worse by ``nats`` in each document, and the model that it follows."""
    return {"x": [500.0 + nats * TOKENS] * count}, {"x": [500.0] * count}


@pytest.mark.parametrize(("nats", "outcome"), [(0.25, Outcome.PASS), (0.2501, Outcome.FAIL)])
def test_a_loss_of_exactly_the_margin_passes(nats: float, outcome: Outcome) -> None:
    assert outcome_of(judge(report(*worse(nats)), RECIPE), "loss against champion") is outcome


@pytest.mark.parametrize(("nats", "outcome"), [(-0.5, Outcome.PASS), (-0.4999, Outcome.FAIL)])
def test_a_gain_of_exactly_what_is_needed_passes(nats: float, outcome: Outcome) -> None:
    assert judge(report(*worse(nats), champion=False), RECIPE).outcome is outcome


@pytest.mark.parametrize(("nats", "outcome"), [(0.5, Outcome.PASS), (0.5001, Outcome.FAIL)])
def test_a_subset_that_loses_exactly_its_margin_passes(nats: float, outcome: Outcome) -> None:
    assert outcome_of(judge(report(*worse(nats)), RECIPE), "subset x") is outcome


@pytest.mark.parametrize(("count", "outcome"), [(30, Outcome.PASS), (29, Outcome.INCONCLUSIVE)])
def test_exactly_the_fewest_documents_are_judged(count: int, outcome: Outcome) -> None:
    assert judge(report(*worse(0.0, count)), RECIPE).outcome is outcome


@pytest.mark.parametrize(("count", "alone"), [(40, True), (39, False)])
def test_exactly_the_fewest_documents_of_a_subset_are_judged_alone(count: int, alone: bool) -> None:
    verdict = judge(report(*worse(0.0, count)), RECIPE)
    assert any(reason.metric == "subset x" for reason in verdict.reasons) is alone
    assert ("too small to judge alone: x" in verdict.reasons[0].text) is not alone


def test_a_candidate_equal_to_the_best_does_not_become_the_anchor() -> None:
    equal: EvaluationReport = report(*worse(0.0))
    assert not becomes_anchor(equal, RECIPE)
    assert becomes_anchor(report(*worse(-0.001)), RECIPE)
    assert not becomes_anchor(report(*worse(0.001)), RECIPE)
    assert becomes_anchor(report(*worse(0.001), champion=False), RECIPE)
    with_anchor = replace(report(*worse(-0.1)), anchor_scores=equal.candidate)
    assert becomes_anchor(with_anchor, RECIPE)
    assert not becomes_anchor(replace(report(*worse(0.0)), anchor_scores=equal.candidate), RECIPE)


def test_more_documents_are_asked_for_only_where_equal_models_need_a_wider_margin() -> None:
    champion = {"x": noisy(5.0, spread=80)}
    candidate = {"x": noisy(5.4, spread=80, seed=9)}
    judged = report(candidate, champion)
    found = difference(judged, judged.baseline, judged.document_ids)
    needed = found.margin_for_equals(RECIPE.confidence, RECIPE.guard_power)
    for margin, asked in ((needed, False), (needed * 0.999, True), (0.0, False)):
        recipe = replace(RECIPE, margin_nats=margin, subset_margin_nats=0.0, subset_margin_limit_nats=1.0)
        text = judge(judged, recipe).reasons[0].text
        assert text.startswith("Inconclusive"), text
        assert ("such documents would decide it" in text) is asked


def test_the_documents_asked_for_shrink_the_interval_to_the_margin() -> None:
    judged = report({"x": noisy(5.0, spread=80, seed=9)}, {"x": noisy(5.0, spread=80)})
    found = difference(judged, judged.baseline, judged.document_ids)
    needed = found.margin_for_equals(RECIPE.confidence, RECIPE.guard_power)
    text = judge(judged, replace(RECIPE, margin_nats=needed / 3)).reasons[0].text
    # 60 documents, an interval three times as wide as allowed: nine times as many, in two digits
    assert "about 540 such documents would decide it" in text


@pytest.mark.parametrize(("margin", "sized"), [(0.0, True), (0.01, True), (1.0, False)])
def test_a_margin_that_follows_the_spread_of_a_subset_says_so(margin: float, sized: bool) -> None:
    noise = report({"x": noisy(5.0, spread=80, seed=9)}, {"x": noisy(5.0, spread=80)})
    recipe = replace(RECIPE, subset_margin_nats=margin, subset_margin_limit_nats=1.0)
    [text] = [reason.text for reason in judge(noise, recipe).reasons if reason.metric == "subset x"]
    assert ("sized by the spread of these documents" in text) is sized
