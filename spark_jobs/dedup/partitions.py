"""The documents of a corpus divided into partitions: runs of consecutive documents, each held by one task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from include.object_store import STORE
from include.object_store.locations import join
from include.recipes.corpus import CorpusRecipe
from spark_jobs.corpus_version.layout import VersionLayout
from spark_jobs.dedup.arrays import Integers
from spark_jobs.dedup.signatures import SIGNATURE_SCHEMA
from spark_jobs.runtime.columns import parquet_writer
from spark_jobs.runtime.parquet import column_batches, open_parquet
from spark_jobs.runtime.tables import read_tables

_READERS = 16


@dataclass(frozen=True)
class SignatureFile:
    """A file of SIGNATURE_SCHEMA and the number of its documents."""

    uri: str
    documents: int


@dataclass(frozen=True)
class Partitions:
    """The signature files of a corpus, divided; documents ascend within and across the partitions.

    Documents numbered below ``first_new`` belong to the version that this one extends (the base).
    """

    layout: VersionLayout
    recipe: CorpusRecipe
    files: tuple[tuple[str, ...], ...]
    #: The smallest document number of each partition.
    starts: tuple[int, ...]
    first_new: int = 0

    @property
    def count(self) -> int:
        """The number of partitions, and of the tasks that work on them."""
        return len(self.files)

    @cached_property
    def _boundaries(self) -> Integers:
        return np.array(self.starts[1:], np.int64)

    def of(self, documents: Integers) -> Integers:
        """Return the partition of each document."""
        return np.searchsorted(self._boundaries, documents, side="right")

    def signatures(self, partition: int, columns: Sequence[str]) -> pa.Table:
        """Read columns of the signatures of one partition."""
        return pa.Table.from_batches(
            self.signature_batches(partition, columns),
            schema=pa.schema([SIGNATURE_SCHEMA.field(name) for name in columns]),
        )

    def signature_batches(self, partition: int, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Read columns of the signatures of one partition, some rows at a time."""
        schema = pa.schema([SIGNATURE_SCHEMA.field(name) for name in columns])
        for batch in column_batches(self.files[partition], columns):
            yield batch.cast(schema)

    def save(self, folder: str, partition: int, rows: pa.Table) -> None:
        """Write rows of a partition into a folder of intermediate results."""
        uri = self.file(folder, partition)
        with STORE.publish(uri) as path, parquet_writer(path, rows.schema) as writer:
            writer.write_table(rows)

    def saved(self, folder: str, partition: int, schema: pa.Schema) -> pa.Table:
        """Read the rows that ``save`` wrote."""
        return read_tables([self.file(folder, partition)], schema)

    def folder(self, name: str) -> str:
        """Return the URI of a folder of intermediate results."""
        return join(self.layout.near_dedup, name)

    def file(self, folder: str, partition: int) -> str:
        """Return the URI at which ``save`` writes."""
        return join(self.folder(folder), f"partition-{partition:05d}.parquet")


def documents_of(uris: Sequence[str]) -> list[SignatureFile]:
    """Count the documents of signature files by their footers."""
    with ThreadPoolExecutor(_READERS) as pool:
        return [SignatureFile(uri, rows) for uri, rows in zip(uris, pool.map(_rows, uris), strict=True)]


def starts_of(groups: Sequence[Sequence[str]]) -> tuple[int, ...]:
    """Return the smallest document number of each group of signature files, from the files' footers."""
    with ThreadPoolExecutor(_READERS) as pool:
        return tuple(pool.map(_first_document, [group[0] for group in groups]))


def _rows(uri: str) -> int:
    with open_parquet(uri) as file:
        rows: int = file.metadata.num_rows
    return rows


def _first_document(uri: str) -> int:
    with open_parquet(uri) as file:
        column = SIGNATURE_SCHEMA.get_field_index("doc")
        first: int = file.metadata.row_group(0).column(column).statistics.min
    return first
