"""The record ``build/demo/summary.json``: the figures of one demo run."""

from __future__ import annotations

from dataclasses import dataclass

from demo.timings import TaskTiming
from include.contracts.manifests import require_documents_add_up


@dataclass(frozen=True)
class CorpusSummary:
    """Figures of the corpus; ``reused`` is True if the version existed and its work was skipped."""

    version: str
    reused: bool
    documents_in: int
    documents_kept: int
    documents_held_out: int
    dropped: dict[str, dict[str, int]]
    tokens: int

    def __post_init__(self) -> None:
        require_documents_add_up(self.version, self.documents_in, self.documents_kept, self.dropped)


@dataclass(frozen=True)
class TrainingSummary:
    """Losses in nats per token, and seconds as SageMaker counts them: billable ones exclude interruptions."""

    steps: int
    interruptions: int
    resumed_at_step: int | None
    loss_first: float
    loss_last: float
    billable_seconds: int
    total_seconds: int


@dataclass(frozen=True)
class GateSummary:
    """The verdict and its reasons as sentences; ``baseline`` is ``unigram`` or the champion's run."""

    verdict: str
    baseline: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class DeploymentSummary:
    """Endpoint and name of the served model, and one completion from it."""

    endpoint: str
    model: str
    revision: str
    sample_prompt: str
    sample_completion: str


@dataclass(frozen=True)
class Summary:
    """All figures of a demo: ``seconds`` per phase and in total, ``tasks`` with the times of each task.

    ``deployment`` is None if the gate did not pass the model. ``left_out`` maps each file of the
    user's folder that is no shard to the reason.
    """

    corpus: CorpusSummary
    training: TrainingSummary
    gate: GateSummary
    deployment: DeploymentSummary | None
    seconds: dict[str, float]
    tasks: tuple[TaskTiming, ...]
    peak_memory_bytes: int
    left_out: dict[str, str]
