"""Guards: no subset may get much worse while the average over all of them hides it."""

from __future__ import annotations

from include.contracts.evaluation import EvaluationReport, Outcome, Reason
from include.gates.comparison import difference, interval, small_subsets, title
from include.gates.paired import PairedDifference, holm
from include.recipes.gate import GateRecipe


def subset_guards(report: EvaluationReport, recipe: GateRecipe) -> list[Reason]:
    """Compare candidate and champion on each subset; a failure is claimed only after Holm's correction."""
    small = small_subsets(report, recipe)
    subsets = [name for name in sorted(report.document_ids) if name not in small]
    found = [difference(report, report.baseline, [name]) for name in subsets]
    judged = [judge_subset(one, len(subsets), recipe) for one in found]
    adjusted = holm([one.p_above(margin) for one, (_, margin) in zip(found, judged, strict=True)])
    reasons = []
    for name, one, (outcome, margin), p_worse in zip(subsets, found, judged, adjusted, strict=True):
        if outcome is Outcome.FAIL and p_worse > 1 - recipe.confidence:
            outcome = Outcome.INCONCLUSIVE  # noqa: PLW2901
        sized = ", sized by the spread of these documents" if margin > recipe.subset_margin_nats else ""
        text = (
            f"{title(outcome)}: subset '{name}' {interval(one, recipe)} over {one.documents} documents; "
            f"allowed {margin:+.3g}{sized}"
        )
        candidate = report.candidate.subsets[name].loss_nats_per_token
        baseline = report.baseline.subsets[name].loss_nats_per_token
        reasons.append(Reason(f"subset {name}", outcome, candidate, baseline, margin, text))
    return reasons


def judge_subset(found: PairedDifference, guards: int, recipe: GateRecipe) -> tuple[Outcome, float]:
    """Return the outcome and the margin of one of ``guards`` guards.

    A subset passes if it is shown to be within the recipe's margin, or if it did not get significantly worse
    at a level at which an equal model passes all guards together with ``guard_power``. The second condition
    is a margin too, sized by the spread of the documents; it is bounded, so that chance cannot hide a ruin.
    """
    confidence = recipe.confidence
    power = recipe.guard_power ** (1 / guards)
    sized = min(found.margin_for_equals(confidence, power), recipe.subset_margin_limit_nats)
    margin = max(recipe.subset_margin_nats, sized)
    within = found.upper(confidence) <= recipe.subset_margin_nats
    if within or found.upper_without_skew(confidence) <= sized:
        return Outcome.PASS, margin
    return (Outcome.FAIL if found.lower(confidence) > margin else Outcome.INCONCLUSIVE), margin
