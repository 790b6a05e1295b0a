"""Paired differences of held-out losses, with documents as clusters.

The estimate is the ratio sum(differences) / sum(tokens); its standard error is the linearised (cluster
robust) one of a ratio estimator: Cochran, Sampling Techniques, 6.3; for evaluations: arXiv 2411.00640.
Intervals are Student's with documents - 1 degrees of freedom, so that a handful of documents is honest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True)
class PairedDifference:
    """``mean`` and ``standard_error`` in nats per token over ``documents`` documents."""

    mean: float
    standard_error: float
    documents: int

    def lower(self, confidence: float) -> float:
        """Lower end of the one-sided interval."""
        return self.mean - _quantile(confidence, self.documents) * self.standard_error

    def upper(self, confidence: float) -> float:
        """Upper end of the one-sided interval."""
        return self.mean + _quantile(confidence, self.documents) * self.standard_error

    def p_above(self, bound: float) -> float:
        """P-value of the claim that the true difference is above ``bound``."""
        distance = self.mean - bound
        if self.standard_error == 0:
            return 0.0 if distance > 0 else 1.0
        if self.documents < 2:
            return 1.0
        from scipy.stats import t

        return float(t.sf(distance / self.standard_error, self.documents - 1))


@lru_cache(maxsize=256)
def _quantile(confidence: float, documents: int) -> float:
    """Of Student's distribution; one document says nothing about its spread."""
    if documents < 2:
        return math.inf
    from scipy.stats import t  # half a second to import: not when a DAG is parsed

    return float(t.ppf(confidence, documents - 1))


def paired_difference(
    left: Sequence[float], right: Sequence[float], tokens: Sequence[int]
) -> PairedDifference:
    """``left - right`` per token; each sequence has one entry a document. Needs at least one token."""
    differences = [a - b for a, b in zip(left, right, strict=True)]
    documents, total = len(differences), math.fsum(tokens)
    mean = math.fsum(differences) / total
    if documents < 2:
        return PairedDifference(mean, math.inf, documents)
    squares = math.fsum((d - mean * t) ** 2 for d, t in zip(differences, tokens, strict=True))
    variance = documents / (documents - 1) * squares / total**2
    return PairedDifference(mean, math.sqrt(variance), documents)


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for as many claims at once (Holm 1979), in the order given."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, running = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted
