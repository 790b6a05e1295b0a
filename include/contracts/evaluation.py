"""The evaluation report, the verdict of the gate, and their parts."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from include.contracts.manifests import SCHEMA_VERSION, ParentRef

#: Version 2 scores whole documents and adds anchor and long documents. Reports of version 1, which scored the
#: first 1,024 tokens of a document, are read with the defaults of the fields that they lack.
REPORT_SCHEMA_VERSION = 2


@dataclass(frozen=True)
class SubsetScore:
    """Held-out loss of one model on one subset, in nats per token and bits per UTF-8 byte.

    ``document_losses`` are sums of nats per document, in the order of ``EvaluationReport.document_ids``
    of that subset, so that they pair with those of the other models. ``long_documents`` are those with more
    tokens than the context of this model; all other figures include them.
    """

    documents: int
    tokens: int
    text_bytes: int
    loss_nats_per_token: float
    perplexity: float
    bits_per_byte: float
    document_losses: tuple[float, ...]
    long_documents: int = 0
    long_tokens: int = 0
    long_loss_nats_per_token: float = 0.0


@dataclass(frozen=True)
class ModelScores:
    """The scores of one model; ``name`` is a run, or ``unigram`` for token frequencies in training."""

    name: str
    subsets: dict[str, SubsetScore]


@dataclass(frozen=True)
class EvaluationReport:
    """The scores of the candidate and of the models it is compared with, on the same held-out documents.

    ``baseline`` is the champion or, before the first approval, token frequencies; ``champion`` is its
    manifest where it is a model. ``anchor`` is the manifest of the best model ever approved, and
    ``anchor_scores`` are its scores where it is not the champion.

    ``document_ids`` and ``document_tokens`` (tokens of the candidate's tokenizer) are per subset, in the
    order of ``SubsetScore.document_losses``. Differences of losses are per candidate token: the nats of a
    document are those of its text and, where it was not cut, of its end, so models with different tokenizers
    can be compared.
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
    anchor: ParentRef | None = None
    anchor_scores: ModelScores | None = None
    schema_version: int = REPORT_SCHEMA_VERSION


class Outcome(enum.StrEnum):
    """The outcomes of a comparison with a threshold, and of a whole verdict."""

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
    """The decision of the gate on a candidate, with the reasons that led to it."""

    outcome: Outcome
    reasons: tuple[Reason, ...]
    schema_version: int = SCHEMA_VERSION
