"""Saves and restores the random state of one rank, in a file of each checkpoint."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch

from include.contracts.errors import ContractError


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


def check_random_states(folder: Path) -> None:
    """Raise ContractError if a file of random states in the folder of a checkpoint cannot be read."""
    for path in sorted(folder.glob("random_rank_*.pt")):
        try:
            torch.Generator().set_state(torch.load(path, weights_only=True)["cpu"])
        except (EOFError, ValueError, LookupError, TypeError, RuntimeError, pickle.UnpicklingError) as error:
            raise ContractError(
                "is not a random state", where=path.name, got=f"{type(error).__name__}: {error}"
            ) from error


def _path(folder: Path, rank: int) -> Path:
    return folder / f"random_rank_{rank}.pt"
