"""Lengths of documents as histograms, whose size does not depend on the number of documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from include.contracts.manifests import CorpusManifest
from include.object_store import STORE
from include.object_store.locations import join
from spark_jobs.corpus_version.layout import VersionLayout
from spark_jobs.runtime.parquet import column_batches

#: Texts are read from at most this many files (about 8 GB), evenly spread over the corpus.
TEXT_FILES = 64

_DECADES, _PER_DECADE, _SHOWN_PER_DECADE = 8, 100, 10


def _edges(per_decade: int) -> npt.NDArray[np.int64]:
    """Return ascending whole numbers, ``per_decade`` to each power of ten, fewer where they would repeat."""
    exact = 10 ** (np.arange(_DECADES * per_decade + 1) / per_decade)
    return np.unique(np.ceil(exact.round(6)).astype(np.int64))


_EDGES, SHOWN_EDGES = _edges(_PER_DECADE), _edges(_SHOWN_PER_DECADE)


@dataclass
class Lengths:
    """Lengths in bins 2.3 % wide; ``total``, ``documents`` and ``largest`` are exact."""

    bins: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(_EDGES), np.int64))
    total: int = 0
    largest: int = 0

    @property
    def documents(self) -> int:
        return int(self.bins.sum())

    def add(self, values: npt.NDArray[np.int64]) -> None:
        """Add these lengths to the histogram."""
        if len(values):
            positions = np.maximum(np.searchsorted(_EDGES, values, side="right") - 1, 0)
            self.bins += np.bincount(positions, minlength=len(_EDGES))
            self.total += int(values.sum())
            self.largest = max(self.largest, int(values.max()))

    def quantile(self, share: float) -> int:
        """Return the length that this share of the documents does not exceed, accurate to 2.3 %."""
        position = int(np.searchsorted(np.cumsum(self.bins), share * self.documents))
        end = _EDGES[position + 1] if position + 1 < len(_EDGES) else self.largest + 1
        return min(int(_EDGES[position] + end - 1) // 2, self.largest)

    def shares(self) -> npt.NDArray[np.float64]:
        """Return the share of the documents in each bin of SHOWN_EDGES."""
        starts = np.searchsorted(_EDGES, SHOWN_EDGES)
        shares: npt.NDArray[np.float64] = np.add.reduceat(self.bins, starts) / max(1, self.documents)
        return shares


def together(lengths: Mapping[str, Lengths]) -> Lengths:
    """Merge the lengths of all subsets."""
    return Lengths(
        bins=np.sum([one.bins for one in lengths.values()], axis=0, dtype=np.int64),
        total=sum(one.total for one in lengths.values()),
        largest=max(one.largest for one in lengths.values()),
    )


@dataclass(frozen=True)
class Characters:
    """The lengths in characters of training documents, and the bytes of the same texts, by subset."""

    lengths: dict[str, Lengths]
    text_bytes: dict[str, int]
    files_read: int
    files: int


def characters(layout: VersionLayout, most_files: int = TEXT_FILES) -> Characters:
    """Count the characters of documents in at most ``most_files`` files."""
    uris = STORE.uris(layout.documents)
    chosen = uris[:: -(-len(uris) // most_files)] if uris else []
    lengths: dict[str, Lengths] = {}
    text_bytes: dict[str, int] = {}
    for batch in column_batches(chosen, ["text", "subset"]):
        texts, subsets = batch.column("text"), batch.column("subset")
        for subset in pc.unique(subsets).to_pylist():
            mine = texts.filter(pc.equal(subsets, subset))
            lengths.setdefault(subset, Lengths()).add(_numbers(pc.utf8_length(mine)))
            text_bytes[subset] = text_bytes.get(subset, 0) + pc.sum(pc.binary_length(mine)).as_py()
    return Characters(lengths, text_bytes, len(chosen), len(uris))


def tokens(layout: VersionLayout, manifest: CorpusManifest) -> dict[str, Lengths]:
    """Count the tokens of every training document by subset, from the files next to the token shards."""
    lengths: dict[str, Lengths] = {}
    for shard in manifest.shards:
        uri = join(layout.tokens, f"{shard.name}.documents.parquet")
        for batch in column_batches([uri], ["tokens"]):
            lengths.setdefault(shard.subset, Lengths()).add(_numbers(batch.column("tokens")))
    return lengths


def _numbers(column: pa.Array) -> npt.NDArray[np.int64]:
    return np.asarray(column, np.int64)
