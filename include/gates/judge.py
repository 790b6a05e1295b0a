"""The evaluation gate: is the candidate fit to replace what is served?

With a champion: non-inferiority over all held-out documents, and a guard on each subset. Without one:
a clear gain over token frequencies. What the data cannot decide is inconclusive, never a pass.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from include.contracts.errors import ContractError
from include.contracts.evaluation import EvaluationReport, ModelScores, Outcome, Reason, Verdict
from include.gates.paired import PairedDifference, holm, paired_difference
from include.recipes.gate import GateRecipe


def judge(report: EvaluationReport, recipe: GateRecipe) -> Verdict:
    """The verdict on a report. ContractError when candidate and baseline saw different documents."""
    _require_paired(report)
    if broken := _not_finite(report):
        return _verdict([broken])
    documents = sum(len(ids) for ids in report.document_ids.values())
    if documents < recipe.min_documents:
        return _verdict([_too_few(report, documents, recipe)])
    whole = _difference(report, report.document_ids)
    if not report.baseline_is_champion:
        return _verdict([_gain(report, whole, recipe)])
    return _verdict([_non_inferiority(report, whole, recipe), *_guards(report, recipe)])


def _gain(report: EvaluationReport, whole: PairedDifference, recipe: GateRecipe) -> Reason:
    """Without a champion: the candidate's loss must lie below the baseline's by ``min_gain_nats``."""
    gained, need = -whole.mean, recipe.min_gain_nats
    low, high = -whole.upper(recipe.confidence), -whole.lower(recipe.confidence)
    if low >= need:
        outcome, claim = Outcome.PASS, f"at least {low:.3f}"
    elif high < need:
        outcome, claim = Outcome.FAIL, f"at most {high:.3f}"
    else:
        outcome, claim = Outcome.INCONCLUSIVE, f"between {low:.3f} and {high:.3f}"
    text = (
        f"{_title(outcome)}: gains {gained:.3f} nats per token on {report.baseline.name} over "
        f"{whole.documents} held-out documents, {claim} at {recipe.confidence:.0%} confidence; "
        f"needed {need:g}"
    )
    return _reason("gain over baseline", outcome, report, need, text)


def _non_inferiority(report: EvaluationReport, whole: PairedDifference, recipe: GateRecipe) -> Reason:
    """With a champion: the candidate's loss may not lie above the champion's by ``margin_nats``."""
    outcome = _compare(whole, recipe.margin_nats, recipe.confidence)
    left_out = _small_subsets(report, recipe)
    note = f" (too small to judge alone: {', '.join(left_out)})" if left_out else ""
    text = (
        f"{_title(outcome)}: {_interval(whole, recipe)} against champion {report.baseline.name} over "
        f"{whole.documents} held-out documents; allowed {recipe.margin_nats:+g}{note}"
    )
    return _reason("loss against champion", outcome, report, recipe.margin_nats, text)


def _guards(report: EvaluationReport, recipe: GateRecipe) -> list[Reason]:
    """No subset may get worse by ``subset_margin_nats``; failures are claimed after Holm's correction."""
    small = _small_subsets(report, recipe)
    subsets = [name for name in sorted(report.document_ids) if name not in small]
    differences = {name: _difference(report, [name]) for name in subsets}
    margin, alpha = recipe.subset_margin_nats, 1 - recipe.confidence
    adjusted = holm([differences[name].p_above(margin) for name in subsets])
    reasons = []
    for name, p_worse in zip(subsets, adjusted, strict=True):
        difference = differences[name]
        outcome = _compare(difference, margin, recipe.confidence)
        if outcome is Outcome.FAIL and p_worse > alpha:
            outcome = Outcome.INCONCLUSIVE
        text = (
            f"{_title(outcome)}: subset '{name}' {_interval(difference, recipe)} over "
            f"{difference.documents} documents; allowed {margin:+g}"
        )
        candidate = report.candidate.subsets[name].loss_nats_per_token
        baseline = report.baseline.subsets[name].loss_nats_per_token
        reasons.append(Reason(f"subset {name}", outcome, candidate, baseline, margin, text))
    return reasons


def _compare(difference: PairedDifference, margin: float, confidence: float) -> Outcome:
    if difference.upper(confidence) <= margin:
        return Outcome.PASS
    return Outcome.FAIL if difference.lower(confidence) > margin else Outcome.INCONCLUSIVE


def _difference(report: EvaluationReport, subsets: Iterable[str]) -> PairedDifference:
    names = sorted(subsets)
    return paired_difference(
        [loss for name in names for loss in report.candidate.subsets[name].document_losses],
        [loss for name in names for loss in report.baseline.subsets[name].document_losses],
        [tokens for name in names for tokens in report.document_tokens[name]],
    )


def _small_subsets(report: EvaluationReport, recipe: GateRecipe) -> list[str]:
    return sorted(name for name, ids in report.document_ids.items() if len(ids) < recipe.min_subset_documents)


def _not_finite(report: EvaluationReport) -> Reason | None:
    for scores in (report.candidate, report.baseline):
        for name, subset in sorted(scores.subsets.items()):
            if all(math.isfinite(loss) for loss in subset.document_losses):
                continue
            # a broken candidate is refused; a broken baseline leaves nothing to compare with
            outcome = Outcome.FAIL if scores is report.candidate else Outcome.INCONCLUSIVE
            text = f"{_title(outcome)}: {scores.name} has a loss that is no number in subset '{name}'"
            return Reason("finite loss", outcome, 0.0, 0.0, 0.0, text)
    return None


def _too_few(report: EvaluationReport, documents: int, recipe: GateRecipe) -> Reason:
    text = f"Inconclusive: {documents} held-out documents, needed {recipe.min_documents}; use a bigger corpus"
    return _reason("held-out documents", Outcome.INCONCLUSIVE, report, recipe.min_documents, text)


def _require_paired(report: EvaluationReport) -> None:
    for name, ids in report.document_ids.items():
        lengths = {"document_tokens": len(report.document_tokens.get(name, ()))}
        for scores in (report.candidate, report.baseline):
            subset = scores.subsets.get(name)
            lengths[scores.name] = len(subset.document_losses) if subset else 0
        if set(lengths.values()) != {len(ids)} or not all(t > 0 for t in report.document_tokens[name]):
            raise ContractError(
                "candidate and baseline were not scored on the same documents",
                where=f"evaluation report, subset {name}",
                expected=f"{len(ids)} documents of at least one token",
                got=str(lengths),
            )


def _reason(metric: str, outcome: Outcome, report: EvaluationReport, threshold: float, text: str) -> Reason:
    candidate, baseline = (_loss(scores, report) for scores in (report.candidate, report.baseline))
    return Reason(metric, outcome, candidate, baseline, float(threshold), text)


def _loss(scores: ModelScores, report: EvaluationReport) -> float:
    """Nats per candidate token over all subsets."""
    tokens = sum(sum(counts) for counts in report.document_tokens.values())
    return math.fsum(loss for s in scores.subsets.values() for loss in s.document_losses) / max(1, tokens)


def _interval(difference: PairedDifference, recipe: GateRecipe) -> str:
    low, high = difference.lower(recipe.confidence), difference.upper(recipe.confidence)
    return f"loss differs by {difference.mean:+.3f} nats per token ({low:+.3f} to {high:+.3f})"


def _title(outcome: Outcome) -> str:
    return outcome.value.capitalize()


def _verdict(reasons: list[Reason]) -> Verdict:
    outcomes = {reason.outcome for reason in reasons}
    for outcome in (Outcome.FAIL, Outcome.INCONCLUSIVE):
        if outcome in outcomes:
            return Verdict(outcome, tuple(reasons))
    return Verdict(Outcome.PASS, tuple(reasons))
