"""How a token dataset becomes a model."""

from __future__ import annotations

from dataclasses import dataclass, field

from include.recipes.loading import require


@dataclass(frozen=True)
class ModelRecipe:
    """Shape of a Llama; the vocabulary comes from the corpus manifest."""

    hidden_size: int = 256
    layers: int = 6
    attention_heads: int = 8
    key_value_heads: int = 4
    feed_forward_size: int = 704
    context_length: int = 256
    tie_embeddings: bool = True

    def __post_init__(self) -> None:
        for name in ("hidden_size", "layers", "attention_heads", "key_value_heads", "feed_forward_size"):
            require(getattr(self, name) >= 1, f"model.{name}", "at least 1", getattr(self, name))
        require(self.context_length >= 8, "model.context_length", "at least 8", self.context_length)
        require(
            self.hidden_size % (2 * self.attention_heads) == 0,
            "model.hidden_size",
            f"a multiple of 2 x attention_heads ({2 * self.attention_heads})",
            self.hidden_size,
        )
        require(
            self.attention_heads % self.key_value_heads == 0,
            "model.key_value_heads",
            f"a divisor of attention_heads ({self.attention_heads})",
            self.key_value_heads,
        )


@dataclass(frozen=True)
class OptimiserRecipe:
    """AdamW with linear warm-up and cosine decay to ``final_share`` of the peak."""

    learning_rate: float = 1e-3
    weight_decay: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.95
    warmup_steps: int = 20
    final_share: float = 0.1
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
    """One run. ``batch_sequences`` is the global batch; it does not depend on the number of ranks."""

    name: str
    steps: int = 200
    batch_sequences: int = 32
    micro_batch_sequences: int = 8
    checkpoint_every_steps: int = 50
    keep_checkpoints: int = 2
    seed: int = 1
    precision: str = "float32"
    #: Weight of each subset in the mixture; empty: by its tokens.
    mixture: dict[str, float] = field(default_factory=dict)
    #: What a subset of the mixture does that the corpus lacks: end the run, or leave the others' proportions.
    mixture_absent: str = "refuse"
    model: ModelRecipe = field(default_factory=ModelRecipe)
    optimiser: OptimiserRecipe = field(default_factory=OptimiserRecipe)

    def __post_init__(self) -> None:
        for name in ("steps", "batch_sequences", "micro_batch_sequences", "checkpoint_every_steps"):
            require(getattr(self, name) >= 1, name, "at least 1", getattr(self, name))
        require(self.keep_checkpoints >= 1, "keep_checkpoints", "at least 1", self.keep_checkpoints)
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
            require(weight >= 0, f"mixture.{subset}", "at least 0", weight)
        require(
            not self.mixture or sum(self.mixture.values()) > 0, "mixture", "a weight above 0", self.mixture
        )
