"""Parquet tables of small columns, by Spark or by Arrow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from include.object_store import STORE

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def read_columns(spark: SparkSession, uri: str, columns: str) -> DataFrame:
    """The named columns (as DDL); a given schema saves Spark a pass over the footers."""
    return spark.read.schema(columns).parquet(uri)


def write_columns(rows: DataFrame, uri: str) -> None:
    """Write rows as parquet, in the place of whatever a killed run left there."""
    rows.write.mode("overwrite").parquet(uri)


def read_tables(uris: Iterable[str], schema: pa.Schema) -> pa.Table:
    """The columns of ``schema`` from those files that are parquet, Spark's or ours; empty when none is."""
    tables = []
    for uri in uris:
        if uri.endswith(".parquet"):
            # not by read_table: it would take columns out of the names of the folders
            with STORE.local_copy(uri) as path, pq.ParquetFile(path) as parquet:
                tables.append(parquet.read(columns=schema.names))
    return pa.concat_tables(tables) if tables else schema.empty_table()
