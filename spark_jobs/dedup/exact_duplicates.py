"""Exact duplicates: documents whose normalised text has the same 128-bit hash; the smallest id stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def exact_duplicates(clean: DataFrame) -> DataFrame:
    """Documents (doc, part, file, text_low, text_high) to duplicates (doc, part, file, kept)."""
    from pyspark.sql import functions as sf

    text = ["text_low", "text_high"]
    # two aggregates and a join instead of a window: one text a million times is no group in memory
    repeated = (
        clean.groupBy(*text)
        .agg(sf.min("doc").alias("kept"), sf.count("*").alias("copies"))
        .where("copies > 1")
        .drop("copies")
    )
    return clean.join(repeated, text).where("doc != kept").select("doc", "part", "file", "kept")
