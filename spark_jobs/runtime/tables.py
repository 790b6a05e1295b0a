"""Tables of small columns in parquet: what tasks leave for the clusters, and what these decide, by file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from include.object_store import STORE
from include.object_store.locations import join

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

#: A row a clean document: all that exact dedup, near dedup and the choice of held-out documents need.
SIGNED_SCHEMA = pa.schema(
    [
        ("doc", pa.int64()),  # shard index and row (readers.shards.ROW_BITS)
        ("part", pa.int32()),  # the group of shards ...
        ("file", pa.int32()),  # ... and the number of the file within it
        ("characters", pa.int64()),
        ("text_low", pa.int64()),  # 128-bit hash of the normalised text
        ("text_high", pa.int64()),
        ("id_hash", pa.int64()),  # 63 bits, decides what is held out
        ("subset", pa.string()),
        ("ngrams", pa.int32()),  # 0: no words, so minhash and bands mean nothing
        ("minhash", pa.list_(pa.int32())),
        ("bands", pa.list_(pa.int64())),
    ]
)

#: The same, as Spark reads it.
SIGNED_COLUMNS = (
    "doc bigint, part int, file int, characters bigint, text_low bigint, text_high bigint, "
    "id_hash bigint, subset string, ngrams int, minhash array<int>, bands array<bigint>"
)

#: What becomes of a document that is not simply kept; ``kept`` is null for one that is held out.
DECIDED_SCHEMA = pa.schema(
    [("doc", pa.int64()), ("kept", pa.int64()), ("similarity", pa.float32()), ("stage", pa.string())]
)


def read_columns(spark: SparkSession, uri: str, columns: str) -> DataFrame:
    """The named columns (as DDL); a given schema saves Spark a pass over the footers."""
    return spark.read.schema(columns).parquet(uri)


def write_columns(rows: DataFrame, uri: str) -> None:
    """Write rows as parquet, in the place of whatever a killed run left there."""
    rows.write.mode("overwrite").parquet(uri)


def write_by_file(rows: DataFrame, uri: str) -> None:
    """Write rows (part, file, …) into a folder per clean file, in the place of whatever was there."""
    rows.repartition("part", "file").write.mode("overwrite").partitionBy("part", "file").parquet(uri)


def file_folder(folder: str, part: int, file: int) -> str:
    """Where ``write_by_file`` puts the rows of one clean file."""
    return join(folder, f"part={part}", f"file={file}")


def read_decided(folder: str, part: int, file: int) -> pa.Table:
    """DECIDED_SCHEMA of the documents of one clean file, sorted by doc; an empty table for none."""
    uris = STORE.uris(file_folder(folder, part, file))
    return read_tables(uris, DECIDED_SCHEMA).sort_by("doc")


def read_tables(uris: Iterable[str], schema: pa.Schema) -> pa.Table:
    """The columns of ``schema`` from those files that are parquet, Spark's or ours; empty when none is."""
    tables = []
    for uri in uris:
        if uri.endswith(".parquet"):
            # not by read_table: it would take columns out of the names of the folders
            with STORE.local_copy(uri) as path, pq.ParquetFile(path) as parquet:
                tables.append(parquet.read(columns=schema.names))
    return pa.concat_tables(tables) if tables else schema.empty_table()
