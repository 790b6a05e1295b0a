"""The evaluation gate: decides whether the candidate may replace the model that is served.

With a champion, the candidate must not be worse than it, nor than the anchor, over all held-out documents,
and no subset may get much worse. Without one, it must clearly gain on token frequencies. A difference that
the data cannot decide is inconclusive, never a pass.
"""

from __future__ import annotations

import math

from include.contracts.errors import ContractError
from include.contracts.evaluation import EvaluationReport, ModelScores, Outcome, Reason, Verdict
from include.gates.comparison import compare, difference, interval, small_subsets, title
from include.gates.guards import subset_guards
from include.gates.paired import PairedDifference
from include.recipes.gate import GateRecipe


def judge(report: EvaluationReport, recipe: GateRecipe) -> Verdict:
    """Return the verdict on a report.

    Raises ContractError if its models saw different documents, or if the scores of its anchor are missing.
    """
    _require_paired(report)
    _require_anchor(report)
    if broken := _not_finite(report):
        return _verdict([broken])
    documents = sum(len(ids) for ids in report.document_ids.values())
    if documents < recipe.min_documents:
        return _verdict([_too_few(report, documents, recipe)])
    if not report.baseline_is_champion:
        return _verdict([_gain(report, recipe)])
    reasons = [_non_inferiority("champion", report.baseline, report, recipe)]
    if report.anchor_scores is not None:
        reasons.append(_non_inferiority("anchor", report.anchor_scores, report, recipe))
    return _verdict([*reasons, *subset_guards(report, recipe)])


def becomes_anchor(report: EvaluationReport, recipe: GateRecipe) -> bool:
    """Return True if an approved candidate is shown to be better than the best model so far.

    A lower loss by chance is not enough: the candidate could be worse, and many such anchors would lose more
    than one margin in all.
    """
    best = report.anchor_scores or (report.baseline if report.baseline_is_champion else None)
    if best is None:
        return True
    return difference(report, best, report.document_ids).upper(recipe.confidence) < 0


def _gain(report: EvaluationReport, recipe: GateRecipe) -> Reason:
    """Require that the candidate's loss lies below the baseline's by ``min_gain_nats``."""
    whole = difference(report, report.baseline, report.document_ids)
    gained, need = -whole.mean, recipe.min_gain_nats
    low, high = -whole.upper(recipe.confidence), -whole.lower(recipe.confidence)
    if low >= need:
        outcome, claim = Outcome.PASS, f"at least {low:.3f}"
    elif high < need:
        outcome, claim = Outcome.FAIL, f"at most {high:.3f}"
    else:
        outcome, claim = Outcome.INCONCLUSIVE, f"between {low:.3f} and {high:.3f}"
    text = (
        f"{title(outcome)}: gains {gained:.3f} nats per token on {report.baseline.name} over "
        f"{whole.documents} held-out documents, {claim} at {recipe.confidence:.0%} confidence; "
        f"needed {need:g}"
    )
    return _reason("gain over baseline", outcome, report, report.baseline, need, text)


def _non_inferiority(role: str, other: ModelScores, report: EvaluationReport, recipe: GateRecipe) -> Reason:
    """Require that the candidate's loss does not lie above the other's by more than ``margin_nats``."""
    whole = difference(report, other, report.document_ids)
    outcome = compare(whole, recipe.margin_nats, recipe.confidence)
    notes = []
    if role == "champion" and (left_out := small_subsets(report, recipe)):
        notes.append(f"too small to judge alone: {', '.join(left_out)}")
    if outcome is Outcome.INCONCLUSIVE and (needed := _documents_needed(whole, recipe)):
        notes.append(f"about {needed} such documents would decide it")
    note = f" ({'; '.join(notes)})" if notes else ""
    text = (
        f"{title(outcome)}: {interval(whole, recipe)} against {role} {other.name} over "
        f"{whole.documents} held-out documents; allowed {recipe.margin_nats:+g}{note}"
    )
    return _reason(f"loss against {role}", outcome, report, other, recipe.margin_nats, text)


def _documents_needed(whole: PairedDifference, recipe: GateRecipe) -> int:
    """Estimate how many documents would pass a candidate that is equal to the other; 0 if it has enough."""
    needed = whole.margin_for_equals(recipe.confidence, recipe.guard_power)
    if not (math.isfinite(needed) and needed > recipe.margin_nats > 0):
        return 0
    # the interval shrinks at least with the square root of the number of documents
    exact = whole.documents * (needed / recipe.margin_nats) ** 2
    step: int = 10 ** max(0, int(math.log10(exact)) - 1)
    return math.ceil(exact / step) * step


def _not_finite(report: EvaluationReport) -> Reason | None:
    for scores in _models(report):
        for name, subset in sorted(scores.subsets.items()):
            if all(math.isfinite(loss) for loss in subset.document_losses):
                continue
            # a broken candidate is refused; a broken model on the other side leaves nothing to compare with
            outcome = Outcome.FAIL if scores is report.candidate else Outcome.INCONCLUSIVE
            text = f"{title(outcome)}: a loss of {scores.name} in subset '{name}' is not a finite number"
            return Reason("finite loss", outcome, 0.0, 0.0, 0.0, text)
    return None


def _too_few(report: EvaluationReport, documents: int, recipe: GateRecipe) -> Reason:
    text = (
        f"Inconclusive: {documents} held-out documents, needed {recipe.min_documents}; "
        "use a larger corpus, or raise held_out.share in its recipe"
    )
    threshold = recipe.min_documents
    return _reason("held-out documents", Outcome.INCONCLUSIVE, report, report.baseline, threshold, text)


def _models(report: EvaluationReport) -> list[ModelScores]:
    found = [report.candidate, report.baseline, report.anchor_scores]
    return [scores for scores in found if scores is not None]


def _require_paired(report: EvaluationReport) -> None:
    for name, ids in report.document_ids.items():
        tokens = report.document_tokens.get(name, ())
        lengths = {"document_tokens": len(tokens)}
        for scores in _models(report):
            subset = scores.subsets.get(name)
            lengths[scores.name] = len(subset.document_losses) if subset else 0
        if set(lengths.values()) != {len(ids)} or not all(count > 0 for count in tokens):
            raise ContractError(
                "the models were not scored on the same documents",
                where=f"evaluation report, subset {name}",
                expected=f"{len(ids)} documents of at least one token",
                got=str(lengths),
            )


def _require_anchor(report: EvaluationReport) -> None:
    """Raise ContractError if the anchor would not be compared, because its scores are missing."""
    if report.anchor_scores is None and report.anchor not in (None, report.champion):
        raise ContractError(
            "the anchor was not scored",
            where="evaluation report, anchor_scores",
            expected=f"the scores of {report.anchor.uri}",
            got="none",
            remedy="evaluate the candidate again",
        )


def _reason(
    metric: str, outcome: Outcome, report: EvaluationReport, other: ModelScores, threshold: float, text: str
) -> Reason:
    return Reason(
        metric, outcome, _loss(report.candidate, report), _loss(other, report), float(threshold), text
    )


def _loss(scores: ModelScores, report: EvaluationReport) -> float:
    """Return nats per candidate token over all subsets."""
    tokens = sum(sum(counts) for counts in report.document_tokens.values())
    return math.fsum(loss for s in scores.subsets.values() for loss in s.document_losses) / max(1, tokens)


def _verdict(reasons: list[Reason]) -> Verdict:
    outcomes = {reason.outcome for reason in reasons}
    for outcome in (Outcome.FAIL, Outcome.INCONCLUSIVE):
        if outcome in outcomes:
            return Verdict(outcome, tuple(reasons))
    return Verdict(Outcome.PASS, tuple(reasons))
