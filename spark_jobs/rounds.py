"""Rounds of verification: buckets propose pairs, their texts are compared, and what is refused goes on.

In a round each cluster proposes the document that it would keep, and all others against it. Those that are
similar enough are dropped for it; the rest form the clusters of the next round, without it. So every dropped
document is as similar to its kept one as the recipe asks, and a document stays only after it was compared
with each kept document that a chain of buckets led to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from spark_jobs import storage
from spark_jobs.columns import parquet_writer

Integers = npt.NDArray[np.int64]

PAIR_SCHEMA = pa.schema([("doc", pa.int64()), ("kept", pa.int64())])
SIMILARITY_SCHEMA = PAIR_SCHEMA.append(pa.field("similarity", pa.float64()))


#: A round takes as long as one pass over the texts of its pairs. What the last one refuses is kept.
LIMIT = 64


@dataclass(frozen=True)
class Proposed:
    """How many pairs a round compares, and how many edges its clusters took."""

    pairs: int
    edges: int


@dataclass(frozen=True)
class Rounds:
    """The rounds below ``uri``; pairs of at least ``threshold`` are accepted."""

    uri: str
    threshold: float

    def folder(self, number: int) -> str:
        """Where a round keeps what it needs in between."""
        return storage.join(self.uri, f"round-{number:03d}")

    def pairs(self, number: int) -> str:
        """Parquet of PAIR_SCHEMA: what a round proposes."""
        return storage.join(self.folder(number), "pairs")

    def compared(self, number: int) -> str:
        """Parquet of SIMILARITY_SCHEMA: what became of the pairs."""
        return storage.join(self.folder(number), "compared")

    def save_pairs(self, number: int, docs: Integers, kept: Integers) -> None:
        """Write what a round proposes."""
        uri = storage.join(self.pairs(number), "pairs.parquet")
        with storage.output_file(uri) as path, parquet_writer(path, PAIR_SCHEMA) as writer:
            writer.write_table(pa.table([docs, kept], schema=PAIR_SCHEMA))

    def refused(self, number: int) -> pa.ChunkedArray:
        """Documents that a round left."""
        table = self._results([self.compared(number)])
        return table.filter(pc.less(table.column("similarity"), self.threshold)).column("doc")

    def leaders(self, before: int) -> pa.ChunkedArray:
        """Documents that the rounds before this one compared others with."""
        return self._results([self.compared(number) for number in range(before)]).column("kept")

    def accepted(self) -> pa.Table:
        """SIMILARITY_SCHEMA of all that was dropped."""
        table = self._results([self.uri])
        return table.filter(pc.greater_equal(table.column("similarity"), self.threshold))

    def _results(self, folders: Sequence[str]) -> pa.Table:
        tables = [SIMILARITY_SCHEMA.empty_table()]
        for uri in (uri for folder in folders for uri in storage.list_files(folder)):
            if uri.endswith(".parquet") and "/compared/" in uri:
                with storage.local_copy(uri) as path:
                    tables.append(pq.read_table(path, schema=SIMILARITY_SCHEMA))
        return pa.concat_tables(tables)
