"""The optimiser of a run, and its learning-rate schedule."""

from __future__ import annotations

import math

import torch

from include.recipes.training import OptimiserRecipe


def build_optimiser(model: torch.nn.Module, recipe: OptimiserRecipe) -> torch.optim.AdamW:
    """Build AdamW for a model. Weight decay excludes norms and biases, which have one dimension."""
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    groups = [
        {"params": matrices, "weight_decay": recipe.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(recipe.beta1, recipe.beta2), fused=True)


def learning_rate(recipe: OptimiserRecipe, step: int, steps: int) -> float:
    """Return the rate of ``step`` (from 0): linear warm-up, then cosine decay to ``final_share``."""
    if step < recipe.warmup_steps:
        return recipe.learning_rate * (step + 1) / recipe.warmup_steps
    done = (step - recipe.warmup_steps) / max(1, steps - 1 - recipe.warmup_steps)
    share = recipe.final_share + (1 - recipe.final_share) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    return recipe.learning_rate * share
