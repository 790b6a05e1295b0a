"""Saves and restores the random state of one rank, in a file of each checkpoint."""

from __future__ import annotations

from pathlib import Path

import torch


def save_random_state(folder: Path, rank: int) -> None:
    """Write the state of this process's random generators to the folder of a checkpoint."""
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    torch.save(state, _path(folder, rank))


def load_random_state(folder: Path, rank: int) -> None:
    """Restore this process's random generators. A rank without a saved state keeps its own."""
    path = _path(folder, rank)
    if not path.exists():
        return
    state = torch.load(path, weights_only=True)
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


def _path(folder: Path, rank: int) -> Path:
    return folder / f"random_rank_{rank}.pt"
