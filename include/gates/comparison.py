"""Comparison of the candidate with another model of an evaluation report."""

from __future__ import annotations

from collections.abc import Iterable

from include.contracts.evaluation import EvaluationReport, ModelScores, Outcome
from include.gates.paired import PairedDifference, paired_difference
from include.recipes.gate import GateRecipe


def difference(report: EvaluationReport, other: ModelScores, subsets: Iterable[str]) -> PairedDifference:
    """Return the candidate's loss minus the other model's, over the documents of these subsets."""
    names = sorted(subsets)
    return paired_difference(
        [loss for name in names for loss in report.candidate.subsets[name].document_losses],
        [loss for name in names for loss in other.subsets[name].document_losses],
        [tokens for name in names for tokens in report.document_tokens[name]],
    )


def compare(found: PairedDifference, margin: float, confidence: float) -> Outcome:
    """Decide whether a difference is shown to be within the margin, shown to exceed it, or neither."""
    if found.upper(confidence) <= margin:
        return Outcome.PASS
    return Outcome.FAIL if found.lower(confidence) > margin else Outcome.INCONCLUSIVE


def small_subsets(report: EvaluationReport, recipe: GateRecipe) -> list[str]:
    """Return the names of the subsets that have too few documents for a guard of their own."""
    return sorted(name for name, ids in report.document_ids.items() if len(ids) < recipe.min_subset_documents)


def interval(found: PairedDifference, recipe: GateRecipe) -> str:
    """Write a difference and its interval for a reader."""
    low, high = found.lower(recipe.confidence), found.upper(recipe.confidence)
    return f"loss differs by {found.mean:+.3f} nats per token ({low:+.3f} to {high:+.3f})"


def title(outcome: Outcome) -> str:
    """Return the word that begins the text of a reason."""
    return outcome.value.capitalize()
