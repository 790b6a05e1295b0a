"""Checks that no tensor holds NaN or infinity before it is saved, loaded or exported."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch.distributed.tensor import DTensor

from include.contracts.errors import IntegrityError


def first_not_finite(tensors: Iterable[tuple[str, Any]]) -> str:
    """Return the name of the first tensor or number that is not finite, or an empty string.

    Only this rank's part of a sharded tensor is read.
    """
    for name, value in tensors:
        local = value.to_local() if isinstance(value, DTensor) else value
        if isinstance(local, float) and not math.isfinite(local):
            return name
        if not isinstance(local, torch.Tensor) or not local.is_floating_point():
            continue
        if not bool(torch.isfinite(local).all()):
            return name
    return ""


def require_finite(tensors: Iterable[tuple[str, Any]], *, where: str, remedy: str = "") -> None:
    """Raise IntegrityError with the name of the first tensor that holds NaN or infinity."""
    if name := first_not_finite(tensors):
        raise IntegrityError("holds NaN or infinity", where=f"{where}: {name}", remedy=remedy)


def named_tensors(state: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted name, tensor) of a nested state dictionary."""
    for key, value in state.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from named_tensors(value, f"{name}.")
        else:
            yield name, value
