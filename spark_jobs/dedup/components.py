"""Finds connected components of an edge list that may be larger than the memory of one machine.

If the edges fit into one task, they are joined there by union-find. Otherwise, rounds of large-star and
small-star run on Spark (Kiveris et al., "Connected Components in MapReduce and Beyond", SoCC 2014), until a
round changes nothing. In both cases the root of a component is its first document in the order of precedence,
which is the one that stays. So the result depends neither on partitions nor on the path taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.object_store import STORE
from include.object_store.locations import join
from spark_jobs.dedup.arrays import integers
from spark_jobs.dedup.exact_duplicates import PAIR_SCHEMA
from spark_jobs.dedup.partitions import Partitions
from spark_jobs.dedup.survivors import precedence, precedence_order
from spark_jobs.dedup.union_find import join_edges, settle
from spark_jobs.runtime import progress
from spark_jobs.runtime.session import fit_queries
from spark_jobs.runtime.tables import read_columns, read_tables, write_columns

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

#: 32 bytes an edge, and about three times as much while they are joined: one gigabyte at most.
EDGES_IN_ONE_TASK = 8_000_000

#: Folders of the edges that join the documents of one partition, and of those between partitions.
EDGE_FOLDERS = EDGES_WITHIN, EDGES_BETWEEN = "edges/within", "edges/between"
#: Folder of the pairs (doc, kept).
CLUSTERS = "clusters"

#: Two documents of a bucket. Of a spanning forest, ``other`` is the first document of the component.
EDGE_SCHEMA = pa.schema([(name, pa.int64()) for name in ("doc", "characters", "other", "other_characters")])
_EDGE_COLUMNS = "doc bigint, characters bigint, other bigint, other_characters bigint"

#: A document in the order of precedence (``survivors.precedence``).
_NODE = "struct<new: boolean, negative: bigint, doc: bigint>"
_LINK_COLUMNS = f"node {_NODE}, first {_NODE}"


def spanning_forest(edges: pa.Table, first_new: int) -> pa.Table:
    """Reduce edges (EDGE_SCHEMA) to one edge for each document that is not the first of its component."""
    left, left_characters, right, right_characters = (integers(edges.column(n)) for n in EDGE_SCHEMA.names)
    docs, where, nodes = np.unique(np.concatenate([left, right]), return_index=True, return_inverse=True)
    characters = np.concatenate([left_characters, right_characters])[where]
    order = precedence_order(docs, characters, first_new)
    rank = np.empty(len(order), np.int64)
    rank[order] = parents = np.arange(len(order))
    join_edges(parents, rank[nodes[: len(left)]], rank[nodes[len(left) :]])
    settle(parents)
    inner = np.flatnonzero(parents != np.arange(len(parents)))
    columns = [values[order[n]] for n in (inner, parents[inner]) for values in (docs, characters)]
    return pa.table(columns, schema=EDGE_SCHEMA)


def write_clusters_here(partitions: Partitions, _: int = 0) -> int:
    """Write the pairs (doc, kept) of all clusters by union-find. Return the number of clusters."""
    uris = [uri for folder in EDGE_FOLDERS for uri in STORE.uris(partitions.folder(folder))]
    forest = spanning_forest(read_tables(uris, EDGE_SCHEMA), partitions.first_new)
    new = pc.greater_equal(forest.column("doc"), partitions.first_new)
    pairs = forest.filter(new).select(["doc", "other"]).rename_columns(PAIR_SCHEMA.names)
    partitions.save(CLUSTERS, 0, pairs)
    clusters: int = pc.count_distinct(pairs.column("kept")).as_py()
    return clusters


def write_clusters(spark: SparkSession, partitions: Partitions, edges: int) -> int:
    """Write the pairs (doc, kept) of all clusters in one task if it can hold the edges, else by Spark."""
    if edges <= EDGES_IN_ONE_TASK:
        return progress.run_tasks(spark, "clusters", "tasks", write_clusters_here, [partitions])[0]
    fit_queries(spark, edges)
    pairs = _clusters_by_rounds(spark, partitions)
    write_columns(pairs, partitions.folder(CLUSTERS))
    written = read_columns(spark, partitions.folder(CLUSTERS), "doc bigint, kept bigint")
    return written.select("kept").distinct().count()


def _clusters_by_rounds(spark: SparkSession, partitions: Partitions) -> DataFrame:
    """Return the pairs (doc, kept) of all clusters by rounds of large-star and small-star."""
    from pyspark.sql import functions as sf

    edges = spark.read.schema(_EDGE_COLUMNS).parquet(*map(partitions.folder, EDGE_FOLDERS))
    ends = (("node", "doc", "characters"), ("first", "other", "other_characters"))
    nodes = [
        sf.struct(*precedence(sf.col(doc), sf.col(characters), partitions.first_new)).cast(_NODE).alias(name)
        for name, doc, characters in ends
    ]
    links = _star_rounds(spark, edges.select(*nodes), partitions.folder("components"))
    return links.where("node.new").selectExpr("node.doc doc", "first.doc kept")


def _star_rounds(spark: SparkSession, links: DataFrame, work: str) -> DataFrame:
    from pyspark.sql import functions as sf

    fingerprint: list[Column] = [sf.count("*"), sf.sum(sf.xxhash64("node", "first").cast("decimal(38,0)"))]
    before, number = None, 0
    while True:
        number += 1
        uri = join(work, f"round-{number:02d}")
        # Each round is written, so that its lineage does not grow with the rounds before it.
        write_columns(_small_star(_large_star(links)), uri)
        links = read_columns(spark, uri, _LINK_COLUMNS)
        after = links.agg(*fingerprint).first()
        progress.report("components", number, number + (after != before), "rounds")
        if after == before:
            return links
        before = after


def _large_star(links: DataFrame) -> DataFrame:
    """Link every neighbour after a node to the first one of the neighbourhood."""
    from pyspark.sql import functions as sf

    both = links.union(links.selectExpr("first as node", "node as first"))
    firsts = both.groupBy("node").agg(sf.least(sf.min("first"), "node").alias("least"))
    return (
        both.join(firsts, "node")
        .where("first > node")
        .selectExpr("first as node", "least as first")
        .distinct()
    )


def _small_star(links: DataFrame) -> DataFrame:
    """Link a node and its neighbours before it to the first one of these."""
    from pyspark.sql import functions as sf

    firsts = links.groupBy("node").agg(sf.min("first").alias("least"))
    before = links.join(firsts, "node").selectExpr("first as node", "least as first")
    itself = firsts.selectExpr("node", "least as first")
    return before.union(itself).where("node != first").distinct()
