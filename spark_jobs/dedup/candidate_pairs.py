"""LSH: documents that share a band key are candidates (MMDS, ch. 3.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spark_jobs.dedup.survivors import precedence

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def star_edges(signatures: DataFrame) -> DataFrame:
    """Signatures (doc, bands) to edges (doc, root): each document to the smallest one of its bucket.

    A star has as many edges as documents, where all pairs of a hot bucket would be quadratic, and it
    connects the same documents. No bucket is ever held in memory as a list.
    """
    from pyspark.sql import functions as sf

    entries = signatures.select("doc", sf.explode("bands").alias("band"))
    buckets = (
        entries.groupBy("band")
        .agg(sf.min("doc").alias("root"), sf.count("*").alias("documents"))
        .where("documents > 1")
        .drop("documents")
    )
    return entries.join(buckets, "band").where("doc != root").select("doc", "root").distinct()


def meetings(active: DataFrame, first_new: int, at_once: int = 1) -> DataFrame:
    """Active documents (doc, characters, bands) to (doc, leader): who does not lead a bucket, and who does.

    The first leads, and with it the next of the base (below ``first_new``), ``at_once`` at most. Buckets
    without a new document do not count: nothing is compared there.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as sf

    entries = active.select("doc", "characters", sf.explode("bands").alias("band"))
    leaders = (
        entries.groupBy("band")
        .agg(sf.max(precedence(first_new)).alias("best"), sf.max("doc").alias("newest"))
        .where(sf.col("newest") >= first_new)
        .select("band", (-sf.col("best.negative")).alias("leader"))
    )
    if first_new and at_once > 1:
        in_order = Window.partitionBy("band").orderBy(precedence(first_new).desc())
        of_base = entries.where(f"doc < {first_new}").join(leaders, "band", "left_semi")
        next_ones = of_base.withColumn("rank", sf.row_number().over(in_order)).where(f"rank <= {at_once}")
        leaders = leaders.union(next_ones.selectExpr("band", "doc as leader")).distinct()
    others = entries.join(leaders.withColumnRenamed("leader", "doc"), ["band", "doc"], "left_anti")
    return others.join(leaders, "band").select("doc", "leader").distinct()


def turns(met: DataFrame, first_new: int) -> DataFrame:
    """Of what meets (doc, leader), the pairs (doc, kept) of a new one and one that leads all its buckets."""
    pairs = met.where(f"doc >= {first_new}").withColumnRenamed("leader", "kept")
    return pairs.join(met.selectExpr("doc as kept"), "kept", "left_anti").select("doc", "kept")


def waiting(met: DataFrame) -> DataFrame:
    """Of what meets (doc, leader), every document (doc)."""
    return met.select("doc").union(met.selectExpr("leader as doc")).distinct()
