"""Selects the samples of each training step by mixture and shuffle, from only seed and step.

A sample is a window of a subset (``training.packed_tokens``). The selection does not depend on the number of
ranks: each rank takes its share of the global batch.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate

from include.contracts.errors import InputError, RecipeError
from training.packed_tokens import Window

#: The number of samples in a block of a mixture. A subset's share is exact to one sample per block.
BLOCK = 4096
_ROUNDS = 4


class Permutation:
    """A keyed permutation of ``range(size)`` in constant memory: a Feistel network with cycle walking."""

    def __init__(self, size: int, *key: object) -> None:
        self._size = size
        self._half_bits = max(1, ((size - 1).bit_length() + 1) // 2)
        self._mask = (1 << self._half_bits) - 1
        digest = hashlib.blake2b(repr(key).encode(), digest_size=8 * _ROUNDS).digest()
        self._keys = [int.from_bytes(digest[8 * i : 8 * i + 8], "little") for i in range(_ROUNDS)]

    def __call__(self, index: int) -> int:
        """Return the permuted index. It is encrypted until it is in range, under 4 times on average."""
        if not 0 <= index < self._size:
            raise IndexError(f"{index} is not in range({self._size})")
        while True:
            index = self._encrypt(index)
            if index < self._size:
                return index

    def _encrypt(self, value: int) -> int:
        left, right = value >> self._half_bits, value & self._mask
        for key in self._keys:
            left, right = right, left ^ (_mix(right ^ key) & self._mask)
        return left << self._half_bits | right


def mixture_of_present(mixture: Mapping[str, float], windows: Mapping[str, int]) -> dict[str, float]:
    """Return the weights of the subsets that have a window. Raises RecipeError if none is left."""
    present = {name: weight for name, weight in mixture.items() if windows.get(name)}
    if mixture and not any(present.values()):
        raise RecipeError(
            "the corpus has no subset of the mixture",
            where="mixture",
            expected=f"among {', '.join(sorted(windows))}",
            got=", ".join(sorted(mixture)),
        )
    return present


class SampleOrder:
    """The infinite sequence of training samples of a run.

    Without a mixture, all windows are one pool, and each epoch visits every window once. With a mixture,
    every block of ``BLOCK`` samples holds each subset in proportion to its weight, and each subset has its
    own epochs.
    """

    def __init__(self, windows: Mapping[str, int], mixture: Mapping[str, float], seed: int) -> None:
        """Prepare the order from the number of windows of each subset and the mixture's weights.

        Raises RecipeError if the mixture does not fit the corpus, InputError if no subset has a window.
        """
        unknown = sorted(set(mixture) - set(windows))
        if unknown:
            raise RecipeError(
                f"the corpus has no subset '{unknown[0]}'",
                where="mixture",
                expected=f"among {', '.join(sorted(windows))}",
                got=", ".join(unknown),
            )
        self._seed = seed
        self._subsets = [
            name for name in sorted(windows) if windows[name] and (not mixture or mixture.get(name))
        ]
        empty = sorted(name for name, weight in mixture.items() if weight and not windows[name])
        if empty:
            raise RecipeError("subset is shorter than one window", where=f"mixture.{empty[0]}")
        if not self._subsets:
            raise InputError(
                "no subset is as long as one window",
                where="corpus",
                remedy="use a larger corpus, or a recipe with a shorter model.context_length",
            )
        self._windows = [windows[name] for name in self._subsets]
        self._bounds = list(accumulate(self._windows))
        weights = [mixture[name] for name in self._subsets] if mixture else []
        self._quotas = _quotas(weights, BLOCK)
        self._quota_bounds = list(accumulate(self._quotas))
        self._permutations: dict[tuple[object, ...], Permutation] = {}
        self._block: tuple[int, list[tuple[int, int]]] = (-1, [])

    def sample(self, position: int) -> Window:
        """Return the window at ``position``, which is step * batch + index in the batch."""
        if not self._quotas:
            epoch, index = divmod(position, self._bounds[-1])
            pooled = self._permutation(self._bounds[-1], "pool", epoch)(index)
            subset = bisect_right(self._bounds, pooled)
            return Window(self._subsets[subset], pooled - (self._bounds[subset] - self._windows[subset]))
        block, slot = divmod(position, BLOCK)
        subset, within = self._layout(block)[slot]
        epoch, index = divmod(block * self._quotas[subset] + within, self._windows[subset])
        name = self._subsets[subset]
        return Window(name, self._permutation(self._windows[subset], name, epoch)(index))

    def _layout(self, block: int) -> list[tuple[int, int]]:
        """Return (subset, how often it occurred before) for each slot in a block."""
        if self._block[0] != block:
            shuffle = Permutation(BLOCK, self._seed, "block", block)
            picks: list[tuple[int, int]] = []
            counts = [0] * len(self._quotas)
            for slot in range(BLOCK):
                subset = bisect_right(self._quota_bounds, shuffle(slot))
                # counted in the order of visits, so that an epoch of a subset ends before the next one starts
                picks.append((subset, counts[subset]))
                counts[subset] += 1
            self._block = (block, picks)
        return self._block[1]

    def _permutation(self, size: int, name: str, epoch: int) -> Permutation:
        key = (name, epoch)
        if key not in self._permutations:
            # at most two epochs of a subset are in use at a time
            self._permutations = {
                k: v for k, v in self._permutations.items() if k[0] != name or k[1] == epoch - 1
            }
            self._permutations[key] = Permutation(size, self._seed, name, epoch)
        return self._permutations[key]


def rank_positions(step: int, batch: int, micro_batch: int, rank: int, world_size: int) -> list[list[int]]:
    """Return the positions of the samples of each micro batch of one rank in ``step`` (from 0).

    The ranks get micro batches in turn, and together they get the global batch exactly once. Raises
    RecipeError if the batch cannot be divided evenly.
    """
    share = micro_batch if world_size == 1 else min(micro_batch, batch // world_size)
    if share < 1 or batch % (share * world_size):
        raise RecipeError(
            f"cannot be divided evenly among {world_size} ranks",
            where="batch_sequences",
            expected=f"a multiple of {max(1, share) * world_size}",
            got=str(batch),
            remedy="lower micro_batch_sequences, or change the number of ranks",
        )
    first = step * batch
    starts = range(first + rank * share, first + batch, share * world_size)
    return [list(range(start, start + share)) for start in starts]


def _quotas(weights: Sequence[float], total: int) -> list[int]:
    """Divide ``total`` into whole shares by the largest-remainder method. Every weight gets at least 1."""
    if not weights:
        return []
    exact = [weight / sum(weights) * (total - len(weights)) for weight in weights]
    quotas = [1 + int(share) for share in exact]
    by_remainder = sorted(range(len(weights)), key=lambda i: (int(exact[i]) - exact[i], i))
    for i in by_remainder[: total - sum(quotas)]:
        quotas[i] += 1
    return quotas


def _mix(value: int) -> int:
    """Apply splitmix64's finaliser, by which every output bit depends on every input bit."""
    value &= 0xFFFFFFFFFFFFFFFF
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB & 0xFFFFFFFFFFFFFFFF
    return value ^ (value >> 31)
