"""Packs the documents of a subset into one stream of tokens, and reads windows of the context length from it.

The documents of a subset follow each other in the manifest's order. Window ``w`` of context length ``C`` is
the ``C + 1`` tokens ``[w*C, w*C + C]`` of the stream; its last token is the first of the next window. So
every token of a subset is predicted once per epoch, except its first token and the tokens after its last
whole window. A subset that is shorter than one window has none.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from training.tokens import TokenFile, TokenIds, Tokens, require_known_ids


@dataclass(frozen=True)
class Window:
    """The position of one training sample: window ``number`` (from 0) of a subset."""

    subset: str
    number: int


class PackedTokens:
    """The windows of every subset, read from memory-mapped shards."""

    def __init__(
        self, shards: Sequence[tuple[str, TokenFile]], context_length: int, vocabulary_size: int
    ) -> None:
        """Join (subset, file) pairs into one stream for each subset, in the order of the manifest."""
        self._context = context_length
        self._vocabulary_size = vocabulary_size
        self._streams: dict[str, list[TokenFile]] = {}
        for subset, file in shards:
            self._streams.setdefault(subset, []).append(file)
        self._bounds = {
            name: list(accumulate(file.count for file in files)) for name, files in self._streams.items()
        }

    def windows(self) -> dict[str, int]:
        """Return the number of windows of each subset."""
        return {name: max(0, (bounds[-1] - 1) // self._context) for name, bounds in self._bounds.items()}

    def too_short(self) -> dict[str, int]:
        """Return the number of tokens of each subset that has no window."""
        return {name: self._bounds[name][-1] for name, windows in self.windows().items() if not windows}

    def read(self, window: Window) -> TokenIds:
        """Return the ``context_length + 1`` token ids of a window, which may span several shards.

        Raises IntegrityError with shard and position of an id that is not in the vocabulary.
        """
        start = window.number * self._context
        needed = self._context + 1
        bounds, files = self._bounds[window.subset], self._streams[window.subset]
        pieces: list[Tokens] = []
        part = bisect_right(bounds, start)
        while needed:
            file = files[part]
            offset = start - (bounds[part] - file.count)
            piece = require_known_ids(file, offset, offset + needed, self._vocabulary_size)
            pieces.append(piece)
            needed -= len(piece)
            start += len(piece)
            part += 1
        return np.concatenate(pieces).astype(np.int64)
