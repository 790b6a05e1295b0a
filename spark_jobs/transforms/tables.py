"""Tables of small columns in parquet, between Spark and the tasks that read them by file."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def read_columns(spark: SparkSession, uri: str, columns: str) -> DataFrame:
    """The named columns (as DDL); a given schema saves Spark a pass over the footers."""
    return spark.read.schema(columns).parquet(uri)


def write_by_file(rows: DataFrame, uri: str) -> int:
    """Write rows (part, file, …) into a folder per clean file; how many there were."""
    from pyspark.sql import Observation
    from pyspark.sql import functions as sf

    written = Observation()
    (
        rows.observe(written, sf.count(sf.lit(1)).alias("rows"))
        .repartition("part", "file")
        .write.partitionBy("part", "file")
        .parquet(uri)
    )
    count: int = written.get["rows"]
    return count
