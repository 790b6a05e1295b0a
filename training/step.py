"""Runs optimiser steps on the global batch, and skips a step whose loss or gradient is not finite."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.distributed.tensor import DTensor

from include.recipes.training import TrainingRecipe
from training.optimiser import learning_rate
from training.packed_tokens import PackedTokens
from training.ranks import Agreement
from training.sample_order import SampleOrder, rank_positions


@dataclass(frozen=True)
class StepResult:
    """The result of one step, equal on every rank.

    ``loss`` is the mean over the global batch in nats per token. ``gradient_norm`` is the norm before
    clipping on rank 0. ``applied`` is False if loss or gradient was not finite on a rank, so that no weight
    changed.
    """

    loss: float
    gradient_norm: float
    learning_rate: float
    applied: bool


@dataclass(frozen=True)
class Stepper:
    """Runs the steps of one rank."""

    recipe: TrainingRecipe
    model: Any
    optimiser: torch.optim.Optimizer
    data: PackedTokens
    order: SampleOrder
    ranks: Agreement
    device: torch.device
    #: Called before each point at which this rank may wait for others.
    advance: Callable[[], None]

    def run(self, step: int) -> StepResult:
        """Run ``step`` (from 0). Its batch depends only on the step, so a replay skips the same steps."""
        rate = learning_rate(self.recipe.optimiser, step, self.recipe.steps)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        nats = self._accumulate(step)
        norm = self._clip()
        usable = math.isfinite(nats) and math.isfinite(norm)
        self.advance()
        # all ranks decide together, because an update on some ranks only would make the weights differ
        total, faults = self.ranks.sum([nats, 0.0 if usable else 1.0])
        applied = faults == 0 and math.isfinite(total)
        if applied:
            self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        tokens = self.recipe.batch_sequences * self.recipe.model.context_length
        return StepResult(total / tokens, norm, rate, applied)

    def _accumulate(self, step: int) -> float:
        """Add up the gradients of this rank's share of the batch. Return the sum of its nats."""
        recipe, position = self.recipe, self.ranks.position
        tokens_in_batch = recipe.batch_sequences * recipe.model.context_length
        total = torch.zeros((), dtype=torch.float64)
        for positions in rank_positions(
            step, recipe.batch_sequences, recipe.micro_batch_sequences, position.rank, position.world_size
        ):
            windows = torch.stack(
                [torch.from_numpy(self.data.read(self.order.sample(position))) for position in positions]
            ).to(self.device)
            self.advance()
            with torch.autocast(self.device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
                logits = self.model(input_ids=windows[:, :-1], use_cache=False).logits
            loss = torch.nn.functional.cross_entropy(
                logits.float().flatten(0, 1), windows[:, 1:].flatten(), reduction="sum"
            )
            # FSDP averages the gradients of the ranks; the mean over the batch needs their sum
            mean: Any = loss * (position.world_size / tokens_in_batch)
            mean.backward()
            total += loss.detach().double().cpu()
        return float(total)

    def _clip(self) -> float:
        """Clip the gradient. Return its norm before clipping, over the parameters of all ranks."""
        clip = self.recipe.optimiser.gradient_clip
        norm: Any = torch.nn.utils.clip_grad_norm_(self.model.parameters(), clip)
        return float(norm.full_tensor() if isinstance(norm, DTensor) else norm)
