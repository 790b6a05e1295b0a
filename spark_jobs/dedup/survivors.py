"""Which document of a cluster stays, what becomes of the others, and which kept ones are held out.

The rule: of a cluster stays the document with the most characters; among equals, the smallest id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.contracts.documents import Stage
from include.recipes.corpus import HeldOutRecipe

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

#: A subset with at least this many kept documents has one that is held out.
SUBSET_WITH_HELD_OUT = 20


def precedence(first_new: int) -> Column:
    """The rule as a column over (doc, characters): greatest for the one that goes first.

    Those of the base (below ``first_new``) go before new ones. ``negative`` gives the document back.
    """
    from pyspark.sql import functions as sf

    of_base, negative = (sf.col("doc") < first_new).alias("base"), (-sf.col("doc")).alias("negative")
    return sf.struct(of_base, "characters", negative)


def near_duplicates(components: DataFrame, signed: DataFrame, first_new: int = 0) -> DataFrame:
    """Components (doc, root) to duplicates (doc, kept); ``signed`` has the ``characters`` of every document.

    Documents below ``first_new`` are the base's: they stay, and go before every new one.
    """
    from pyspark.sql import functions as sf

    roots = components.select(sf.col("root").alias("doc"), "root").distinct()
    members = components.unionByName(roots).join(signed.select("doc", "characters"), "doc")
    best = members.groupBy("root").agg(sf.max(precedence(first_new)).alias("best"))
    return (
        members.join(best, "root")
        .select("doc", (-sf.col("best.negative")).alias("kept"))
        .where((sf.col("doc") != sf.col("kept")) & (sf.col("doc") >= first_new))
    )


def estimated(pairs: DataFrame, signed: DataFrame) -> DataFrame:
    """Pairs (doc, kept) with ``similarity``, the share of equal minima of the two.

    That is an unbiased estimate of the Jaccard similarity of their n-grams.
    """
    from pyspark.sql import functions as sf

    own = signed.select("doc", "minhash")
    others = signed.select(sf.col("doc").alias("kept"), sf.col("minhash").alias("kept_minhash"))
    equal = sf.zip_with("minhash", "kept_minhash", lambda a, b: (a == b).cast("int"))
    similarity = sf.aggregate(equal, sf.lit(0), lambda total, one: total + one) / sf.size("minhash")
    return (
        pairs.join(own, "doc")
        .join(others, "kept")
        .select("doc", "kept", similarity.cast("float").alias("similarity"))
    )


def all_duplicates(near: DataFrame, exact: DataFrame, documents: DataFrame) -> DataFrame:
    """Both kinds (doc, part, file, kept, similarity, stage); ``kept`` is always a document that is kept.

    An exact duplicate whose twin was dropped as a near duplicate points to what the twin points to.
    """
    from pyspark.sql import functions as sf

    placed = near.join(documents.select("doc", "part", "file"), "doc").select(
        "doc", "part", "file", "kept", "similarity", sf.lit(Stage.NEAR_DEDUP.value).alias("stage")
    )
    onward = near.select(sf.col("doc").alias("twin"), sf.col("kept").alias("final"), "similarity")
    resolved = exact.withColumnRenamed("kept", "twin").join(onward, "twin", "left")
    return placed.unionByName(
        resolved.select(
            "doc",
            "part",
            "file",
            sf.coalesce("final", "twin").alias("kept"),
            sf.coalesce("similarity", sf.lit(1.0).cast("float")).alias("similarity"),
            sf.lit(Stage.EXACT_DEDUP.value).alias("stage"),
        )
    )


def held_out(kept: DataFrame, documents: int, recipe: HeldOutRecipe) -> DataFrame:
    """Kept documents (doc, part, file, subset, id_hash) to those held out (doc, part, file).

    ``share`` of each subset by hash of the id, at most ``max_documents_per_subset`` of the smallest hashes,
    at least one of a subset of SUBSET_WITH_HELD_OUT documents; and the smallest hashes of all up to
    ``min_documents``, as far as that is no more than a quarter of the ``documents`` that are kept.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as sf

    place = ["doc", "part", "file"]
    chosen = sf.col("id_hash") < int(recipe.share * 2**63)
    ranked = kept.where(chosen).withColumn(
        "rank", sf.row_number().over(Window.partitionBy("subset").orderBy("id_hash", "doc"))
    )
    regular = ranked.where(sf.col("rank") <= recipe.max_documents_per_subset).select(*place)
    bare = (
        kept.groupBy("subset")
        .agg(
            sf.count("*").alias("documents"),
            sf.count_if(chosen).alias("chosen"),
            sf.min(sf.struct("id_hash", *place)).alias("first"),
        )
        .where((sf.col("documents") >= SUBSET_WITH_HELD_OUT) & (sf.col("chosen") == 0))
    )
    few = kept.orderBy("id_hash", "doc").limit(min(recipe.min_documents, documents // 4)).select(*place)
    return regular.unionByName(bare.select(*(f"first.{name}" for name in place))).unionByName(few).distinct()
