"""Rounds of verification: buckets propose pairs, their texts are compared, what is not alike goes on.

The rule is a greedy one: in the order of who goes first (those of the base, then most characters, then
smallest number) a document stays unless it is as similar as the recipe asks to one that stays before it in
one of its buckets. A round settles all whose turn has come: a document that leads each of its buckets stays,
and all others of these buckets are compared with it. The first of a bucket leads it. Documents of the base
stay in any case, so several of them can lead a bucket at once: one in the first round, which drops the many
copies of a few, and twice as many in each round after. As in greedy independent sets a few rounds settle
most (Blelloch et al., "Greedy Sequential Maximal Independent Set and Matching are Parallel on Average", SPAA
2012), and the result is that of going one by one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from include.object_store import STORE
from include.object_store.locations import join
from spark_jobs.runtime.columns import parquet_writer
from spark_jobs.runtime.tables import read_tables

Integers = npt.NDArray[np.int64]

PAIR_SCHEMA = pa.schema([("doc", pa.int64()), ("kept", pa.int64())])
SIMILARITY_SCHEMA = PAIR_SCHEMA.append(pa.field("similarity", pa.float64()))


#: A round takes as long as one pass over the texts of its pairs. What waits after the last one is kept.
LIMIT = 64

#: Bounds the pairs of one round: a new document meets at most so many of the base in a bucket.
_MOST_LEADERS = 512


def leaders(number: int) -> int:
    """How many documents of the base may lead a bucket at once in this round."""
    return min(1 << number, _MOST_LEADERS)


@dataclass(frozen=True)
class Proposed:
    """How many pairs a round compares, and how many documents may be in this round or a later one."""

    pairs: int
    waiting: int


@dataclass(frozen=True)
class Verified:
    """The pairs that were compared, in so many rounds, and the documents that had to wait for more."""

    pairs: int
    rounds: int
    unsettled: int = 0


@dataclass(frozen=True)
class Rounds:
    """The rounds below ``uri``; pairs of at least ``threshold`` are accepted."""

    uri: str
    threshold: float

    def folder(self, number: int) -> str:
        """Where a round keeps what it needs in between."""
        return join(self.uri, f"round-{number:03d}")

    def pairs(self, number: int) -> str:
        """Parquet of PAIR_SCHEMA: what a round proposes."""
        return join(self.folder(number), "pairs")

    def waiting(self, number: int) -> str:
        """Parquet of the documents (doc) that a round or a later one may compare."""
        return join(self.folder(number), "waiting")

    def texts(self, number: int) -> str:
        """Parquet of (doc, text) of those, where a round gathered them."""
        return join(self.folder(number), "texts")

    def compared(self, number: int) -> str:
        """Parquet of SIMILARITY_SCHEMA: what became of the pairs."""
        return join(self.folder(number), "compared")

    def save_pairs(self, number: int, docs: Integers, kept: Integers) -> None:
        """Write what a round proposes."""
        _save(self.pairs(number), pa.table([docs, kept], schema=PAIR_SCHEMA))

    def save_waiting(self, number: int, docs: Integers) -> None:
        """Write who may be compared from this round on."""
        _save(self.waiting(number), pa.table([docs], schema=pa.schema([PAIR_SCHEMA.field("doc")])))

    def settled(self) -> pa.ChunkedArray:
        """Documents whose turn is over: those that others were compared with, and those that were dropped."""
        results = self._results()
        dropped = results.filter(self._is_alike(results))
        return pa.chunked_array([*results.column("kept").chunks, *dropped.column("doc").chunks], pa.int64())

    def accepted(self) -> pa.Table:
        """SIMILARITY_SCHEMA of what was dropped, a row a document.

        A document is dropped in one round, for the most similar of those that it met there, or the first of
        equals.
        """
        results = self._results()
        order = [("doc", "ascending"), ("similarity", "descending"), ("kept", "ascending")]
        alike = results.filter(self._is_alike(results)).sort_by(order)
        _, first = np.unique(np.asarray(alike.column("doc")), return_index=True)
        return alike.take(first)

    def _is_alike(self, results: pa.Table) -> pa.ChunkedArray:
        return pc.greater_equal(results.column("similarity"), self.threshold)

    def _results(self) -> pa.Table:
        # below the root alone: the corpus itself may lie in a folder of any name
        uris = (uri for uri in STORE.uris(self.uri) if "/compared/" in uri[len(self.uri) :])
        return read_tables(uris, SIMILARITY_SCHEMA)


def _save(folder: str, table: pa.Table) -> None:
    uri = join(folder, "part-0.parquet")
    with STORE.publish(uri) as path, parquet_writer(path, table.schema) as writer:
        writer.write_table(table)
