"""Exact Jaccard similarity of candidate pairs, from the texts of both documents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from include.contracts.errors import IntegrityError
from spark_jobs.dedup import jaccard
from spark_jobs.dedup.minhash import Shingles
from spark_jobs.dedup.rounds import SIMILARITY_SCHEMA
from spark_jobs.readers.shards import document_ids
from spark_jobs.runtime.columns import buffers
from spark_jobs.runtime.tables import read_columns

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Batches = Iterable[pa.RecordBatch]

#: Text that one task of the comparison reads, before its sort spills to disk.
_TASK_TEXT_BYTES = 128 * 2**20

#: SIMILARITY_SCHEMA, as Spark has it.
SIMILARITY_COLUMNS = "doc bigint, kept bigint, similarity double"


def exact_similarities(pairs: DataFrame, texts: DataFrame, shingles: Shingles, text_bytes: int) -> DataFrame:
    """Pairs (doc, kept) and texts (doc, text) to (doc, kept, similarity); ``text_bytes`` sizes the tasks.

    The members of a cluster follow the document that is kept, so each task holds one text and the n-grams
    of one other, however large the cluster.
    """
    from pyspark.sql import functions as sf

    leaders = pairs.select(sf.col("kept").alias("doc"), "kept").distinct()
    tasks = max(pairs.sparkSession.sparkContext.defaultParallelism, -(-text_bytes // _TASK_TEXT_BYTES))
    clusters = (
        texts.join(pairs.select("doc", "kept").unionByName(leaders), "doc")
        .repartition(tasks, "kept")
        .sortWithinPartitions("kept", sf.col("doc") != sf.col("kept"), "doc")
    )
    return (
        clusters.select("doc", "kept", "text")
        .mapInArrow(partial(_compared, shingles), SIMILARITY_COLUMNS)
        .where("doc != kept")
    )


def base_texts(
    spark: SparkSession, wanted: DataFrame, folders: Sequence[str], shard_names: Sequence[str]
) -> DataFrame:
    """Texts (doc, text) of the documents ``wanted`` (doc) of a base, which lie under their ids alone."""
    named = wanted.mapInArrow(partial(_with_ids, list(shard_names)), "doc bigint, id string")
    documents = spark.read.schema("id string, text string").parquet(*folders)
    return documents.join(named, "id").select("doc", "text")


def clean_texts(spark: SparkSession, uri: str) -> DataFrame:
    """Texts (doc, text) of the clean documents of this version."""
    return read_columns(spark, uri, "doc bigint, text string")


def _with_ids(shard_names: Sequence[str], batches: Batches) -> Batches:
    for batch in batches:
        ids = pa.array(document_ids(shard_names, batch.column("doc").to_pylist()), pa.string())
        yield pa.record_batch([batch.column("doc"), ids], names=["doc", "id"])


def _compared(shingles: Shingles, batches: Batches) -> Batches:
    leader, before = np.empty(0, np.uint64), None
    for batch in batches:
        docs, kept = batch.column("doc").to_numpy(), batch.column("kept").to_numpy()
        leads = docs == kept
        begins = np.concatenate([[kept[0] != before], kept[1:] != kept[:-1]])
        if (begins & ~leads).any():
            lost = int(kept[begins & ~leads][0])
            raise IntegrityError("the text of a kept document is gone", where=f"document {lost}")
        data, offsets = buffers(batch.column("text"))
        similar, leader = jaccard.similarities(data, offsets, leads, shingles, leader)
        before = kept[-1]
        yield pa.record_batch([docs, kept, similar], schema=SIMILARITY_SCHEMA)
