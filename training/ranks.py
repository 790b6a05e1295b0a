"""The position of a rank among the others, and collective decisions of all ranks.

The launcher passes each rank its place by the environment variables that torch uses. Decisions use gloo
groups, also on GPUs. The training loop and the saving thread must not share a group.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch.distributed.checkpoint.api import CheckpointException

from include.contracts.errors import NexusError

T = TypeVar("T")
#: DCP's error does not derive from Exception, so ``except Exception`` would miss a failed save.
ERRORS = (Exception, CheckpointException)


class RankFailed(NexusError):
    """Raised on every other rank if one rank fails, with the text of its error."""


class PeerVanished(NexusError):
    """Raised if another rank no longer answers."""


@dataclass(frozen=True)
class RankPosition:
    """The position of this rank among all ranks and among those of its host.

    ``hosts`` holds the names of all hosts, ordered by their ranks. Every host has the same number of ranks.
    """

    rank: int
    local_rank: int
    world_size: int
    threads: int
    hosts: tuple[str, ...] = ("localhost",)

    @classmethod
    def from_environment(cls) -> RankPosition:
        """Read the position from the environment that the launcher has set."""
        return cls(
            rank=int(os.environ["RANK"]),
            local_rank=int(os.environ["LOCAL_RANK"]),
            world_size=int(os.environ["WORLD_SIZE"]),
            threads=int(os.environ["OMP_NUM_THREADS"]),
            hosts=tuple(os.environ.get("NEXUS_HOSTS", "localhost").split(",")),
        )

    def host_of(self, rank: int) -> str:
        """Return the name of the host that runs ``rank``."""
        return self.hosts[rank * len(self.hosts) // self.world_size]


def vanished(position: RankPosition, rank: int, how: str) -> PeerVanished:
    """Build the error that names the host of a rank which no longer answers."""
    return PeerVanished(
        f"rank {rank} {how}",
        where=f"host {position.host_of(rank)}",
        remedy="look at this host and its log, then start the job again: it resumes from the last checkpoint",
    )


class Agreement:
    """Collective decisions in one gloo group. Every rank must make the same calls in the same order."""

    def __init__(self, group: dist.ProcessGroup, position: RankPosition) -> None:
        self.group = group
        self.position = position

    def sum(self, values: Sequence[float]) -> list[float]:
        """Return the sums over all ranks, element by element and in float64, on every rank."""
        totals = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(totals, group=self.group)
        return [float(total) for total in totals]

    def gather(self, item: T) -> list[T]:
        """Return the items of all ranks, in the order of ranks, on every rank."""
        items: list[Any] = [None] * self.position.world_size
        dist.all_gather_object(items, item, group=self.group)
        return items

    def together(self, action: Callable[[], T]) -> list[T]:
        """Run ``action`` on every rank and return all results. If one rank fails, all raise an error."""
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
                raise RankFailed(text, where=f"rank {rank} on host {self.position.host_of(rank)}")
        return [value for value, _ in outcomes]  # type: ignore[misc]

    def from_first(self, action: Callable[[], T]) -> T:
        """Run ``action`` on rank 0 only. All ranks return its result or raise its error."""
        return self.together(lambda: action() if self.position.rank == 0 else None)[0]  # type: ignore[return-value]


def describe(error: BaseException) -> str:
    """Format an error in one line. The causes that DCP's errors wrap are unwrapped."""
    if isinstance(error, CheckpointException) and error.failures:
        return describe(next(iter(error.failures.values()))[0])
    return str(error) if isinstance(error, NexusError) else f"{type(error).__name__}: {error}"


def join(position: RankPosition) -> tuple[Agreement, Agreement]:
    """Join the process group. Return one group for the step loop and one for the saving thread."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    backend = "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo"
    if device == "cuda":
        torch.cuda.set_device(position.local_rank)
    store = os.environ.get("NEXUS_STORE", "")
    if position.world_size == 1:
        alone = dist.HashStore()  # type: ignore[attr-defined]
        dist.init_process_group(backend, store=alone, rank=0, world_size=1)
    else:
        method = f"file://{store}" if store else "env://"
        dist.init_process_group(
            backend, init_method=method, rank=position.rank, world_size=position.world_size
        )
    # its own group keeps the saving thread's messages apart from those of the training loop
    return Agreement(dist.new_group(backend="gloo"), position), Agreement(
        dist.new_group(backend="gloo"), position
    )
