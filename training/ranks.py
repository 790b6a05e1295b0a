"""What one rank knows of the others, and how they agree.

The launcher gives each rank its place by environment variables (the names that torch uses). Agreement
goes over gloo groups, on GPUs too: the step loop's and the saving thread's must not share one.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch.distributed.checkpoint.api import CheckpointException

from include.contracts.errors import NexusError

T = TypeVar("T")
#: DCP's own error is no Exception: a bare ``except Exception`` lets a failed save pass for a good one.
ERRORS = (Exception, CheckpointException)


class RankFailed(NexusError):
    """Another rank met an error; its text is given."""


@dataclass(frozen=True)
class RankPlace:
    """This rank among all ranks and among those of its host."""

    rank: int
    local_rank: int
    world_size: int
    threads: int

    @classmethod
    def from_environment(cls) -> RankPlace:
        """As the launcher set it."""
        names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "OMP_NUM_THREADS")
        return cls(*(int(os.environ[name]) for name in names))


class Agreement:
    """Collective decisions on one gloo group; every rank must make the same calls in the same order."""

    def __init__(self, group: dist.ProcessGroup, place: RankPlace) -> None:
        self.group = group
        self.place = place

    def any_true(self, flag: bool) -> bool:
        """Whether any rank says so."""
        votes = torch.tensor([int(flag)])
        dist.all_reduce(votes, op=dist.ReduceOp.MAX, group=self.group)
        return bool(votes.item())

    def gather(self, item: T) -> list[T]:
        """The items of all ranks, in the order of ranks, on every rank."""
        items: list[Any] = [None] * self.place.world_size
        dist.all_gather_object(items, item, group=self.group)
        return items

    def together(self, action: Callable[[], T]) -> list[T]:
        """Run ``action`` on every rank; when it fails on one, all raise and none waits for ever."""
        outcome: tuple[T | None, str] = (None, "")
        failure: BaseException | None = None
        try:
            outcome = (action(), "")
        except ERRORS as error:
            failure = error
            outcome = (None, describe(error))
        outcomes = self.gather(outcome)
        if failure is not None:
            raise failure
        for rank, (_, text) in enumerate(outcomes):
            if text:
                raise RankFailed(text, where=f"rank {rank}")
        return [value for value, _ in outcomes]  # type: ignore[misc]

    def from_first(self, action: Callable[[], T]) -> T:
        """Run ``action`` on rank 0 alone; all get its value, or its error."""
        return self.together(lambda: action() if self.place.rank == 0 else None)[0]  # type: ignore[return-value]


def describe(error: BaseException) -> str:
    """One line for a reader: our errors speak for themselves, DCP's hide the cause of each rank."""
    if isinstance(error, CheckpointException) and error.failures:
        return describe(next(iter(error.failures.values()))[0])
    return str(error) if isinstance(error, NexusError) else f"{type(error).__name__}: {error}"


def join(place: RankPlace) -> tuple[Agreement, Agreement]:
    """Join the process group: for the step loop, and for the thread that saves."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    backend = "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo"
    if device == "cuda":
        torch.cuda.set_device(place.local_rank)
    store = os.environ.get("NEXUS_STORE", "")
    if place.world_size == 1:
        alone = dist.HashStore()  # type: ignore[attr-defined]
        dist.init_process_group(backend, store=alone, rank=0, world_size=1)
    else:
        method = f"file://{store}" if store else "env://"
        dist.init_process_group(backend, init_method=method, rank=place.rank, world_size=place.world_size)
    # gloo sends at once over these; a group of its own keeps the saving thread's messages apart
    return Agreement(dist.new_group(backend="gloo"), place), Agreement(dist.new_group(backend="gloo"), place)
