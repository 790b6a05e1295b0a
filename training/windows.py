"""Windows over documents for scoring, in batches that fit into memory.

A document that is longer than the model's context is read in windows of one context that overlap by half:
every token is scored once, and beyond the first window with at least half a context of its document before
it. Batches are sized by memory, so a large vocabulary or a wide model makes them small.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from training.tokens import TokenIds

#: Memory for the activations of one batch, and for the logits that are computed at once.
ACTIVATION_BYTES = 512 * 2**20
LOGIT_BYTES = 512 * 2**20
_FLOAT_BYTES = 4
#: Logits are held as such, in their log-softmax and in a copy.
_COPIES_OF_LOGITS = 3


@dataclass(frozen=True)
class Span:
    """Tokens ``[start, stop)`` of a document are read, and ``[scored_from, stop)`` of them are scored."""

    start: int
    stop: int
    scored_from: int


@dataclass(frozen=True)
class Window:
    """One span of one document: its number, the tokens that are read, and those to predict."""

    document: int
    inputs: TokenIds
    targets: TokenIds
    #: The first position of the window that is scored.
    first: int


def spans(tokens: int, context: int) -> Iterator[Span]:
    """Yield the spans that score each of ``tokens`` tokens exactly once."""
    stride = max(1, context // 2)
    start = scored = 0
    while scored < tokens:
        stop = min(start + context, tokens)
        # the last window is moved back, so that it too is a whole context
        start = max(0, stop - context)
        yield Span(start, stop, scored)
        scored = stop
        start += stride


def windows(documents: Sequence[TokenIds], start_id: int, context: int) -> list[Window]:
    """Return the windows of all documents, shortest first; each document is read after ``start_id``."""
    found = []
    for number, tokens in enumerate(documents):
        previous = np.concatenate(([start_id], tokens[:-1]))
        for span in spans(len(tokens), context):
            found.append(
                Window(
                    number,
                    previous[span.start : span.stop],
                    tokens[span.start : span.stop],
                    span.scored_from - span.start,
                )
            )
    return sorted(found, key=lambda window: len(window.inputs))


def batches(found: Iterable[Window], bytes_per_token: int) -> Iterator[list[Window]]:
    """Group windows, which come shortest first, so that each group fits into ACTIVATION_BYTES.

    A group is padded to its longest window; a window that alone is too large is a group of its own.
    """
    batch: list[Window] = []
    for window in found:
        if batch and (len(batch) + 1) * len(window.inputs) * bytes_per_token > ACTIVATION_BYTES:
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch


def activation_bytes(hidden_size: int, feed_forward_size: int) -> int:
    """Return the memory that one token needs in a layer of a Llama, in float32 and without gradients."""
    return _FLOAT_BYTES * (6 * hidden_size + 3 * feed_forward_size)


def logit_rows(vocabulary_size: int) -> int:
    """Return for how many tokens the logits are computed at once."""
    return max(1, LOGIT_BYTES // (_FLOAT_BYTES * _COPIES_OF_LOGITS * vocabulary_size))
