"""The evaluation report, the verdict of the gate, and their parts."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from include.contracts.manifests import SCHEMA_VERSION, ParentRef


@dataclass(frozen=True)
class SubsetScore:
    """Held-out loss of one model on one subset, in nats per token and bits per UTF-8 byte.

    ``document_losses`` are sums of nats per document, in the order of ``EvaluationReport.document_ids``
    of that subset: paired with the baseline's, document by document.
    """

    documents: int
    tokens: int
    text_bytes: int
    loss_nats_per_token: float
    perplexity: float
    bits_per_byte: float
    document_losses: tuple[float, ...]


@dataclass(frozen=True)
class ModelScores:
    """The scores of one model; ``name`` is a run, or ``unigram`` for token frequencies in training."""

    name: str
    subsets: dict[str, SubsetScore]


@dataclass(frozen=True)
class EvaluationReport:
    """The scores of candidate and baseline (the champion if there is one) on the same held-out documents.

    ``document_ids`` and ``document_tokens`` (tokens of the candidate's tokenizer) are per subset, in the
    order of ``SubsetScore.document_losses``. ``champion`` is the baseline's manifest where that is a model.
    Differences of losses are per candidate token: a document's nats are those of its text and, where it was
    not cut, of its end, so a baseline with another tokenizer compares all the same.
    """

    candidate: ModelScores
    baseline: ModelScores
    baseline_is_champion: bool
    document_ids: dict[str, tuple[str, ...]]
    document_tokens: dict[str, tuple[int, ...]]
    model: ParentRef
    corpus: ParentRef
    seconds: float
    champion: ParentRef | None = None
    schema_version: int = SCHEMA_VERSION


class Outcome(enum.StrEnum):
    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Reason:
    """One line of a verdict: the metric, the measured value, the threshold and the outcome."""

    metric: str
    outcome: Outcome
    candidate: float
    baseline: float
    threshold: float
    text: str


@dataclass(frozen=True)
class Verdict:
    outcome: Outcome
    reasons: tuple[Reason, ...]
    schema_version: int = SCHEMA_VERSION
