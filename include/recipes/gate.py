"""Thresholds of the evaluation gate."""

from __future__ import annotations

import math
from dataclasses import dataclass

from include.recipes.loading import require

#: Below this the intervals do not keep their confidence where differences have a heavy tail (ADR 0013).
FEWEST_DOCUMENTS = 30


@dataclass(frozen=True)
class GateRecipe:
    """A candidate passes when it is not worse than champion and anchor, or clearly better than the baseline.

    The anchor is the best model ever approved. The same margin holds for it, so that the losses of many
    refreshes together stay within one margin. A guard compares each subset that is large enough on its own.
    """

    #: Name of the gate.
    name: str
    #: Loss per token by which a candidate may trail the champion, and the anchor.
    margin_nats: float = 0.02
    #: Gain over the unigram baseline that is needed without a champion.
    min_gain_nats: float = 0.5
    #: Loss per token by which a candidate may trail in one subset; more where its documents vary a lot.
    subset_margin_nats: float = 0.15
    #: Largest loss per token by which a candidate may trail in one subset, however its documents vary.
    subset_margin_limit_nats: float = 1.0
    #: Probability with which a model that equals the champion passes the guards of all subsets together.
    guard_power: float = 0.95
    #: Confidence of the one-sided intervals.
    confidence: float = 0.95
    #: Fewest held-out documents for a judgement.
    min_documents: int = FEWEST_DOCUMENTS
    #: Fewest held-out documents of a subset that is judged alone.
    min_subset_documents: int = FEWEST_DOCUMENTS

    def __post_init__(self) -> None:
        for name in ("margin_nats", "subset_margin_nats", "subset_margin_limit_nats"):
            value = getattr(self, name)
            require(0 <= value < math.inf, name, "a finite number, at least 0", value)
        require(math.isfinite(self.min_gain_nats), "min_gain_nats", "a finite number", self.min_gain_nats)
        require(
            self.subset_margin_nats <= self.subset_margin_limit_nats,
            "subset_margin_limit_nats",
            f"at least subset_margin_nats ({self.subset_margin_nats:g})",
            self.subset_margin_limit_nats,
        )
        for name in ("confidence", "guard_power"):
            require(0.5 < getattr(self, name) < 1, name, "above 0.5, below 1", getattr(self, name))
        for name in ("min_documents", "min_subset_documents"):
            value = getattr(self, name)
            require(value >= FEWEST_DOCUMENTS, name, f"at least {FEWEST_DOCUMENTS}", value)
