"""Recipe of a training run: model shape, data mixture, schedule and optimiser."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from include.contracts.records import to_plain
from include.recipes.loading import require

#: Fields that say how a run is operated. They may differ between a checkpoint and the run that resumes from
#: it. Every other field fixes the mathematics of the run and belongs to the identity of its checkpoints.
OPERATION_FIELDS = (
    "name",
    "micro_batch_sequences",
    "checkpoint_every_steps",
    "keep_checkpoints",
    "max_skipped_steps",
)
#: Shape of a model that is trained from scratch, for the fields that its recipe leaves out.
_SCRATCH = {
    "hidden_size": 256,
    "layers": 6,
    "attention_heads": 8,
    "key_value_heads": 4,
    "feed_forward_size": 704,
    "tie_embeddings": True,
}


@dataclass(frozen=True)
class ModelRecipe:
    """Shape of a Llama; the vocabulary comes from the corpus manifest.

    A field that is None is taken from the base model or, without one, from a default. With a base model,
    every other field must equal the base's: `training.base_model` refuses a run that disagrees.
    ``context_length`` is the number of tokens in a training window; it may be shorter than the base's.
    """

    #: Width of the residual stream.
    hidden_size: int | None = None
    #: Transformer blocks.
    layers: int | None = None
    #: Query heads.
    attention_heads: int | None = None
    #: Key and value heads (grouped-query attention).
    key_value_heads: int | None = None
    #: Width of the feed-forward layer.
    feed_forward_size: int | None = None
    #: Tokens of a training window.
    context_length: int = 256
    #: Use the token embeddings as output weights too.
    tie_embeddings: bool | None = None

    def __post_init__(self) -> None:
        for name in ("hidden_size", "layers", "attention_heads", "key_value_heads", "feed_forward_size"):
            value = getattr(self, name)
            require(value is None or value >= 1, f"model.{name}", "at least 1", value)
        require(self.context_length >= 8, "model.context_length", "at least 8", self.context_length)
        _require_divisible(self.hidden_size, self.attention_heads, self.key_value_heads)

    def shape(self) -> ModelShape:
        """Return the complete shape of a model that is trained from scratch."""
        given = {name: value for name, value in asdict(self).items() if value is not None}
        return ModelShape(**(_SCRATCH | given))


@dataclass(frozen=True)
class ModelShape:
    """Complete shape of a Llama that is trained from scratch."""

    hidden_size: int
    layers: int
    attention_heads: int
    key_value_heads: int
    feed_forward_size: int
    context_length: int
    tie_embeddings: bool

    def __post_init__(self) -> None:
        _require_divisible(self.hidden_size, self.attention_heads, self.key_value_heads)


@dataclass(frozen=True)
class OptimiserRecipe:
    """AdamW with linear warm-up and cosine decay to ``final_share`` of the peak rate."""

    #: Peak learning rate.
    learning_rate: float = 1e-3
    #: Weight decay of AdamW.
    weight_decay: float = 0.1
    #: Decay of the mean of the gradient.
    beta1: float = 0.9
    #: Decay of the mean of its square.
    beta2: float = 0.95
    #: Steps of linear warm-up.
    warmup_steps: int = 20
    #: Final learning rate as a share of the peak.
    final_share: float = 0.1
    #: Largest norm of the gradient.
    gradient_clip: float = 1.0

    def __post_init__(self) -> None:
        require(0 < self.learning_rate < 1, "optimiser.learning_rate", "above 0, below 1", self.learning_rate)
        require(0 <= self.weight_decay < 1, "optimiser.weight_decay", "0 to below 1", self.weight_decay)
        require(0 <= self.beta1 < 1, "optimiser.beta1", "0 to below 1", self.beta1)
        require(0 <= self.beta2 < 1, "optimiser.beta2", "0 to below 1", self.beta2)
        require(self.warmup_steps >= 0, "optimiser.warmup_steps", "at least 0", self.warmup_steps)
        require(0 <= self.final_share <= 1, "optimiser.final_share", "0 to 1", self.final_share)
        require(self.gradient_clip > 0, "optimiser.gradient_clip", "above 0", self.gradient_clip)


@dataclass(frozen=True)
class TrainingRecipe:
    """One training run.

    ``batch_sequences`` is the global batch, in windows of ``model.context_length`` tokens; it does not depend
    on the number of ranks. ``micro_batch_sequences`` windows go through the model at once: lower it when a
    rank runs out of memory. A new field needs a default that keeps the behaviour of the release before it,
    because a checkpoint without the field is read as if it held the default (ADR 0014).
    """

    #: Name of the recipe.
    name: str
    #: Optimiser steps.
    steps: int = 200
    #: Global batch, in windows.
    batch_sequences: int = 32
    #: Windows that go through the model at once on a rank.
    micro_batch_sequences: int = 8
    #: Steps between two checkpoints.
    checkpoint_every_steps: int = 50
    #: Newest checkpoints that are kept.
    keep_checkpoints: int = 2
    #: Consecutive steps that may be skipped because loss or gradient is not finite; one more ends the run.
    max_skipped_steps: int = 10
    #: Seed of weights and sample order.
    seed: int = 1
    #: Number type of the forward and backward pass.
    precision: str = "float32"
    #: Weight of each subset in the mixture. Empty: each subset weighs as much as it has tokens.
    mixture: dict[str, float] = field(default_factory=dict)
    #: What happens when the corpus lacks a subset of the mixture: ``refuse`` ends the run, ``leave_out``
    #: trains on the others in their proportions.
    mixture_absent: str = "refuse"
    model: ModelRecipe = field(default_factory=ModelRecipe)
    optimiser: OptimiserRecipe = field(default_factory=OptimiserRecipe)

    def __post_init__(self) -> None:
        for name in ("steps", "batch_sequences", "micro_batch_sequences", "checkpoint_every_steps"):
            require(getattr(self, name) >= 1, name, "at least 1", getattr(self, name))
        require(self.keep_checkpoints >= 1, "keep_checkpoints", "at least 1", self.keep_checkpoints)
        require(self.max_skipped_steps >= 0, "max_skipped_steps", "at least 0", self.max_skipped_steps)
        require(
            self.batch_sequences % self.micro_batch_sequences == 0,
            "batch_sequences",
            f"a multiple of micro_batch_sequences ({self.micro_batch_sequences})",
            self.batch_sequences,
        )
        require(self.precision in ("float32", "bfloat16"), "precision", "float32 or bfloat16", self.precision)
        require(
            self.mixture_absent in ("refuse", "leave_out"),
            "mixture_absent",
            "refuse or leave_out",
            self.mixture_absent,
        )
        for subset, weight in self.mixture.items():
            require(0 <= weight < math.inf, f"mixture.{subset}", "a finite number, at least 0", weight)
        require(
            not self.mixture or 0 < sum(self.mixture.values()) < math.inf,
            "mixture",
            "weights with a finite sum above 0",
            self.mixture,
        )
        require(-(2**63) <= self.seed < 2**64, "seed", "a whole number of at most 64 bits", self.seed)


def mathematics(recipe: TrainingRecipe, shape: dict[str, Any], base_model_uri: str) -> dict[str, Any]:
    """Return the plain form of everything in a recipe that decides the numbers of a run.

    ``shape`` is the complete shape of the model, from the recipe or from the model at ``base_model_uri``.
    """
    plain: dict[str, Any] = to_plain(recipe)
    fixed = {name: value for name, value in plain.items() if name not in OPERATION_FIELDS}
    return fixed | {"model": dict(shape), "base_model_uri": base_model_uri}


def _require_divisible(hidden: int | None, heads: int | None, key_value_heads: int | None) -> None:
    if hidden is not None and heads is not None:
        wanted = f"a multiple of 2 x attention_heads ({2 * heads})"
        require(hidden % (2 * heads) == 0, "model.hidden_size", wanted, hidden)
    if heads is not None and key_value_heads is not None:
        wanted = f"a divisor of attention_heads ({heads})"
        require(heads % key_value_heads == 0, "model.key_value_heads", wanted, key_value_heads)
