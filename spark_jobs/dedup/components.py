"""Connected components of an edge list that may outgrow any one machine.

While the edges fit one task they are joined there by union-find. Above that, rounds of large-star and
small-star run on Spark (Kiveris et al., "Connected Components in MapReduce and Beyond", SoCC 2014), until a
round changes nothing. Either way the root of a component is its smallest document, so the result does not
depend on partitions or on the path taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from include.object_store import STORE
from include.object_store.locations import join
from spark_jobs.dedup.union_find import components
from spark_jobs.runtime import progress
from spark_jobs.runtime.columns import parquet_writer
from spark_jobs.runtime.tables import read_columns, read_tables, write_columns

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

#: 16 bytes an edge, and as much again while they are sorted: half a gigabyte at most.
EDGES_IN_ONE_TASK = 8_000_000

_COLUMNS = "doc bigint, root bigint"
_COMPONENT_SCHEMA = pa.schema([("doc", pa.int64()), ("root", pa.int64())])


def connected_components(
    spark: SparkSession, edges_uri: str, work: str, edges_in_one_task: int = EDGES_IN_ONE_TASK
) -> DataFrame:
    """Parquet of edges (doc, root) to components (doc, root): a row a document, roots themselves left out."""
    edges = read_columns(spark, edges_uri, _COLUMNS)
    if edges.count() <= edges_in_one_task:
        uri = join(work, "components.parquet")
        spark.sparkContext.parallelize([edges_uri], 1).map(lambda source: join_edges(source, uri)).collect()
        return read_columns(spark, uri, _COLUMNS)
    return _star_rounds(spark, edges, work)


def join_edges(edges_uri: str, target: str) -> int:
    """Union-find over all files of edges; writes the components and returns their documents."""
    table = read_tables(STORE.uris(edges_uri), _COMPONENT_SCHEMA)
    docs, roots = components(
        np.asarray(table.column("doc"), np.int64), np.asarray(table.column("root"), np.int64)
    )
    with STORE.publish(target) as path, parquet_writer(path, _COMPONENT_SCHEMA) as writer:
        writer.write_table(pa.table([docs, roots], schema=_COMPONENT_SCHEMA))
    return len(docs)


def _star_rounds(spark: SparkSession, edges: DataFrame, work: str) -> DataFrame:
    from pyspark.sql import functions as sf

    fingerprint: list[Column] = [sf.count("*"), sf.sum(sf.xxhash64("doc", "root").cast("decimal(38,0)"))]
    before, number = edges.agg(*fingerprint).first(), 0
    while True:
        number += 1
        uri = join(work, f"round-{number:02d}")
        # written out, so that a round's lineage does not grow with the rounds before it
        write_columns(_small_star(_large_star(edges)), uri)
        edges = read_columns(spark, uri, _COLUMNS)
        after = edges.agg(*fingerprint).first()
        progress.report("components", number, number + (after != before), "rounds")
        if after == before:
            return edges
        before = after


def _large_star(edges: DataFrame) -> DataFrame:
    """Every neighbour above a document is linked to the smallest of its neighbourhood."""
    from pyspark.sql import functions as sf

    both = edges.select("doc", "root").union(
        edges.select(sf.col("root").alias("doc"), sf.col("doc").alias("root"))
    )
    smallest = both.groupBy("doc").agg(sf.least(sf.min("root"), sf.first("doc")).alias("least"))
    return (
        both.join(smallest, "doc")
        .where("root > doc")
        .select(sf.col("root").alias("doc"), sf.col("least").alias("root"))
        .distinct()
    )


def _small_star(edges: DataFrame) -> DataFrame:
    """A document and its neighbours below it are linked to the smallest of these."""
    from pyspark.sql import functions as sf

    smallest = edges.groupBy("doc").agg(sf.min("root").alias("least"))
    below = edges.join(smallest, "doc").select(sf.col("root").alias("doc"), sf.col("least").alias("root"))
    itself = smallest.select("doc", sf.col("least").alias("root"))
    return below.union(itself).where("doc != root").distinct()
