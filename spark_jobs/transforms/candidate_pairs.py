"""LSH: documents that share a band key are candidates (MMDS, ch. 3.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
