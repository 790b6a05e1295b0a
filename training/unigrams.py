"""Counts the token frequencies of the training split, the baseline of a first model."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import numpy.typing as npt

from include.contracts.manifests import CorpusManifest, TokenShard
from include.object_store import Folder
from training.tokens import open_shard, require_known_ids

TokenCounts = npt.NDArray[np.int64]
#: Enough to measure a frequency of one in a million. More tokens would only cost downloads.
MAX_TOKENS = 200_000_000
_TOKENS = "tokens/"


def count_tokens(
    folder: Folder, manifest: CorpusManifest, scratch: Path, max_tokens: int = MAX_TOKENS
) -> TokenCounts:
    """Count the occurrences of each token id. Return an array of the shape (vocabulary_size,).

    Whole shards of each subset are read, up to its share of ``max_tokens``, so that every subset is counted.
    """
    entries = {entry.path: entry for entry in manifest.files}
    counts: TokenCounts = np.zeros(manifest.vocabulary_size, dtype=np.int64)
    by_subset: dict[str, list[TokenShard]] = defaultdict(list)
    for shard in manifest.shards:
        by_subset[shard.subset].append(shard)
    for shards in by_subset.values():
        left = max_tokens // len(by_subset)
        for shard in shards:
            if left <= 0:
                break
            for suffix in (".idx", ".bin"):
                name = f"{shard.name}{suffix}"
                folder.fetch(entries[_TOKENS + name], scratch / name)
            tokens = open_shard(scratch, shard, entries, _TOKENS, full=False)
            require_known_ids(tokens, 0, tokens.count, manifest.vocabulary_size)
            counts += np.bincount(tokens.tokens, minlength=manifest.vocabulary_size)
            left -= tokens.count
            for suffix in (".idx", ".bin"):
                (scratch / f"{shard.name}{suffix}").unlink()
    return counts
