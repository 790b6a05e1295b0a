"""LSH: documents that share a band key are candidates (MMDS, ch. 3.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spark_jobs.transforms.survivors import precedence

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


def meetings(active: DataFrame, first_new: int) -> DataFrame:
    """Active documents (doc, characters, bands) to (doc, first): all but the first of each bucket, and it.

    Buckets without a new document (from ``first_new``) do not count: nothing is compared there.
    """
    from pyspark.sql import functions as sf

    entries = active.select("doc", "characters", sf.explode("bands").alias("band"))
    firsts = (
        entries.groupBy("band")
        .agg(sf.max(precedence(first_new)).alias("best"), sf.max("doc").alias("newest"))
        .where(sf.col("newest") >= first_new)
        .select("band", (-sf.col("best.negative")).alias("first"))
    )
    return entries.join(firsts, "band").where("doc != first").select("doc", "first").distinct()


def turns(met: DataFrame, first_new: int) -> DataFrame:
    """Of what meets (doc, first), the pairs (doc, kept) of a new document and a first of all its buckets."""
    pairs = met.where(f"doc >= {first_new}").withColumnRenamed("first", "kept")
    return pairs.join(met.selectExpr("doc as kept"), "kept", "left_anti").select("doc", "kept")


def waiting(met: DataFrame) -> DataFrame:
    """Of what meets (doc, first), every document (doc)."""
    return met.select("doc").union(met.selectExpr("first as doc")).distinct()
