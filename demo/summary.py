"""``build/demo/summary.json``: what a demo run did, in figures."""

from __future__ import annotations

from dataclasses import dataclass

from demo.timings import TaskTiming
from include.contracts.errors import ContractError


@dataclass(frozen=True)
class CorpusSummary:
    """``reused`` tells that the version existed and its work was skipped."""

    version: str
    reused: bool
    documents_in: int
    documents_kept: int
    documents_held_out: int
    dropped: dict[str, dict[str, int]]
    tokens: int

    def __post_init__(self) -> None:
        dropped = sum(count for reasons in self.dropped.values() for count in reasons.values())
        if self.documents_in != self.documents_kept + dropped:
            raise ContractError(
                "documents do not add up",
                where=f"corpus {self.version}",
                expected=f"{self.documents_in} in",
                got=f"{self.documents_kept} kept + {dropped} dropped",
            )


@dataclass(frozen=True)
class TrainingSummary:
    """Losses in nats per token; both seconds as SageMaker counts them, the billable without interruptions."""

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
    """Where the model answers, by which name, and what it answered."""

    endpoint: str
    model: str
    revision: str
    sample_prompt: str
    sample_completion: str


@dataclass(frozen=True)
class Summary:
    """``seconds`` per phase and ``total``; ``tasks`` is what the orchestration cost, task by task.

    ``deployment`` is None when the gate did not pass the model. ``left_out`` maps each file of the
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
