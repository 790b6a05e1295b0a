"""Divides documents into windows for scoring, in batches that fit into memory.

A document that is longer than the model's context is read in windows of one context that overlap by a
quarter. Every token is scored once, and tokens after the first window are scored with at least a quarter of a
context before them. Batches are sized by memory, so they are small for a large vocabulary or a wide model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from training.tokens import TokenIds

#: Memory for the activations of one batch on a GPU, which needs large batches to be busy.
ACTIVATION_BYTES = 512 * 2**20
#: The same on a CPU: activations that stay in its caches are computed almost twice as fast.
CPU_ACTIVATION_BYTES = 8 * 2**20
#: Memory for the logits that are computed at once.
LOGIT_BYTES = 512 * 2**20
#: The share of a context that two windows have in common. More of it gives the first tokens of a window more
#: context, and less of it computes fewer tokens twice.
_OVERLAP = 0.25
_FLOAT_BYTES = 4
#: Logits are in memory three times: as such, as their log-softmax, and as a copy.
_COPIES_OF_LOGITS = 3


@dataclass(frozen=True)
class Span:
    """A part of a document: tokens ``[start, stop)`` are read, and ``[scored_from, stop)`` are scored."""

    start: int
    stop: int
    scored_from: int


@dataclass(frozen=True)
class ScoringWindow:
    """One span of one document: its number, the tokens that are read, and those to predict."""

    document: int
    inputs: TokenIds
    targets: TokenIds
    #: The first position of the window that is scored.
    first: int


def spans(tokens: int, context: int) -> Iterator[Span]:
    """Yield the spans that score each of ``tokens`` tokens exactly once."""
    stride = max(1, context - int(context * _OVERLAP))
    start = scored = 0
    while scored < tokens:
        stop = min(start + context, tokens)
        # the last window is moved back to have the length of a whole context
        start = max(0, stop - context)
        yield Span(start, stop, scored)
        scored = stop
        start += stride


def windows(documents: Sequence[TokenIds], start_id: int, context: int) -> list[ScoringWindow]:
    """Return the windows of all documents, shortest first. ``start_id`` precedes each document."""
    found = []
    for number, tokens in enumerate(documents):
        previous = np.concatenate(([start_id], tokens[:-1]))
        for span in spans(len(tokens), context):
            found.append(
                ScoringWindow(
                    number,
                    previous[span.start : span.stop],
                    tokens[span.start : span.stop],
                    span.scored_from - span.start,
                )
            )
    return sorted(found, key=lambda window: len(window.inputs))


def batches(
    found: Iterable[ScoringWindow], bytes_per_token: int, limit_bytes: int
) -> Iterator[list[ScoringWindow]]:
    """Group windows, ordered by length, so that the activations of a group fit into ``limit_bytes``.

    A group is padded to its longest window. A window that is too large is a group by itself.
    """
    batch: list[ScoringWindow] = []
    for window in found:
        if batch and (len(batch) + 1) * len(window.inputs) * bytes_per_token > limit_bytes:
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch


def activation_bytes(hidden_size: int, feed_forward_size: int) -> int:
    """Return the memory that one token needs in a layer of a Llama, in float32 and without gradients."""
    return _FLOAT_BYTES * (6 * hidden_size + 3 * feed_forward_size)


def logit_rows(vocabulary_size: int) -> int:
    """Return the number of tokens whose logits are computed at once."""
    return max(1, LOGIT_BYTES // (_FLOAT_BYTES * _COPIES_OF_LOGITS * vocabulary_size))
