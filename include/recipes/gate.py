"""Thresholds of the evaluation gate."""

from __future__ import annotations

from dataclasses import dataclass

from include.recipes.loading import require


@dataclass(frozen=True)
class GateRecipe:
    """A candidate passes when it is not worse than the champion, or clearly better than the baseline.

    ``margin_nats`` is the loss per token by which a candidate may trail the champion (non-inferiority);
    ``min_gain_nats`` is what it must gain over the unigram baseline where there is no champion;
    ``subset_margin_nats`` guards each subset of ``min_subset_documents`` alone; ``confidence`` is that of
    the one-sided intervals; fewer than ``min_documents`` held-out documents are never judged.
    """

    #: Name of the gate.
    name: str
    #: Loss per token by which a candidate may trail the champion.
    margin_nats: float = 0.02
    #: Gain over the unigram baseline that is needed without a champion.
    min_gain_nats: float = 0.5
    #: Loss per token by which a candidate may trail in one subset.
    subset_margin_nats: float = 0.15
    #: Confidence of the one-sided intervals.
    confidence: float = 0.95
    #: Fewest held-out documents for a judgement.
    min_documents: int = 5
    #: Fewest held-out documents of a subset that is judged alone.
    min_subset_documents: int = 20

    def __post_init__(self) -> None:
        require(self.margin_nats >= 0, "margin_nats", "at least 0", self.margin_nats)
        require(self.subset_margin_nats >= 0, "subset_margin_nats", "at least 0", self.subset_margin_nats)
        require(0.5 < self.confidence < 1, "confidence", "above 0.5, below 1", self.confidence)
        for name in ("min_documents", "min_subset_documents"):
            require(getattr(self, name) >= 2, name, "at least 2", getattr(self, name))
