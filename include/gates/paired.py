"""Paired differences of held-out losses, with documents as clusters.

The estimate is the ratio sum(differences) / sum(tokens). Its standard error is the jackknife's of a ratio
estimator (Cochran, Sampling Techniques, 6.17; for evaluations: arXiv 2411.00640), with Kish's effective
number of documents where some hold many more tokens than others.

Student's interval is too short where the differences have a heavy tail: a sample without the rare bad
document looks both better and less variable than it is. The interval here is longer in two ways, measured in
ADR 0013: by the skewness of the sample on the side in question, and as if one more document lay ten standard
deviations out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

#: Factor exp(_SKEW * s + _SKEW_SQUARED * s**2) on Student's quantile, where s in [0, 1] is the skewness of
#: the sample divided by its largest possible value. Calibrated by simulation.
_SKEW, _SKEW_SQUARED = 2.0, 3.0
#: Distance in standard deviations of the document that may have been missed.
_UNSEEN = 10.0


@dataclass(frozen=True)
class PairedDifference:
    """Mean difference and its uncertainty, in nats per token.

    ``effective_documents`` is the number of equally long documents that would tell as much. ``skewness`` is
    that of the residuals, divided by the square root of their number: from -1 to 1.
    """

    mean: float
    standard_error: float
    documents: int
    effective_documents: float
    skewness: float

    def lower(self, confidence: float) -> float:
        """Return the lower end of the one-sided interval."""
        return self.mean - self._reach(confidence, max(0.0, -self.skewness))

    def upper(self, confidence: float) -> float:
        """Return the upper end of the one-sided interval."""
        return self.mean + self._reach(confidence, max(0.0, self.skewness))

    def upper_without_skew(self, confidence: float) -> float:
        """Return the upper end as if the differences had no heavier tail on one side."""
        return self.mean + self._reach(confidence, 0.0)

    def margin_for_equals(self, confidence: float, power: float) -> float:
        """Return the margin that `upper_without_skew` of equal models keeps with probability ``power``."""
        if self.standard_error == 0:
            return 0.0
        return self._reach(confidence, 0.0) + _quantile(power, self.effective_documents) * self.standard_error

    def p_above(self, bound: float) -> float:
        """Return the p-value of the claim that the true difference is above ``bound``, by Student's test."""
        distance = self.mean - bound
        if self.standard_error == 0:
            return 0.0 if distance > 0 else 1.0
        if not math.isfinite(self.standard_error) or self.effective_documents < 2:
            return 1.0
        from scipy.stats import t

        return float(t.sf(distance / self.standard_error, self.effective_documents - 1))

    def _reach(self, confidence: float, skewness: float) -> float:
        if self.standard_error == 0:
            return 0.0
        longer = math.exp(_SKEW * skewness + _SKEW_SQUARED * skewness**2)
        unseen = _UNSEEN / math.sqrt(self.effective_documents)
        return (_quantile(confidence, self.effective_documents) * longer + unseen) * self.standard_error


@lru_cache(maxsize=1024)
def _quantile(confidence: float, documents: float) -> float:
    """Return Student's quantile; below two documents nothing shows how much they vary."""
    if documents < 2:
        return math.inf
    from scipy.stats import t  # takes half a second to import, which parsing a DAG must not

    return float(t.ppf(confidence, documents - 1))


def paired_difference(
    left: Sequence[float], right: Sequence[float], tokens: Sequence[int]
) -> PairedDifference:
    """Return ``left - right`` per token. Each sequence has one entry per document; tokens are positive."""
    differences = [a - b for a, b in zip(left, right, strict=True)]
    documents, total = len(differences), sum(tokens)
    mean = math.fsum(differences) / total
    if documents < 2:
        return PairedDifference(mean, math.inf, documents, float(documents), 0.0)
    # the change of the mean when a document is left out, times -total
    residuals = [(d - mean * t) * (total / (total - t)) for d, t in zip(differences, tokens, strict=True)]
    # scaled, because the powers of very large and very small residuals are out of range
    scale = max(map(abs, residuals)) or 1.0
    squares = math.fsum((residual / scale) ** 2 for residual in residuals)
    cubes = math.fsum((residual / scale) ** 3 for residual in residuals)
    return PairedDifference(
        mean,
        scale * math.sqrt((documents - 1) / documents * squares) / total,
        documents,
        effective_documents=total**2 / sum(t * t for t in tokens),
        skewness=cubes / squares**1.5 if squares > 0 else 0.0,
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for as many claims at once (Holm 1979), in the order given."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, running = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted
