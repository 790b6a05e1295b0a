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
    """Read the columns that are named as DDL. The given schema saves Spark a pass over the footers."""
    return spark.read.schema(columns).parquet(uri)


def write_columns(rows: DataFrame, uri: str) -> None:
    """Write rows as parquet. Files that a killed run left there are replaced."""
    rows.write.mode("overwrite").parquet(uri)


def read_tables(uris: Iterable[str], schema: pa.Schema) -> pa.Table:
    """Read the columns of ``schema`` from the parquet files among these. Without any the table is empty."""
    tables = []
    for uri in uris:
        if uri.endswith(".parquet"):
            # not by read_table, which would add columns from the names of the folders
            with STORE.local_copy(uri) as path, pq.ParquetFile(path) as parquet:
                tables.append(parquet.read(columns=schema.names))
    return pa.concat_tables(tables) if tables else schema.empty_table()
