"""Verification of near duplicates: the texts of candidate pairs are compared, round by round.

Spark brings the texts of a round's pairs together, the members of a cluster after the document that is kept.
So a task holds the n-grams of one document and the text at hand, however large the cluster is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from include.contracts.errors import IntegrityError
from include.object_store import STORE
from include.object_store.locations import join
from spark_jobs.dedup import jaccard, verification_rounds
from spark_jobs.dedup.corpus import Corpus
from spark_jobs.dedup.exchange import ExchangeRunner
from spark_jobs.dedup.minhash import Shingles
from spark_jobs.dedup.partitions import Partitions
from spark_jobs.dedup.signatures import shingles
from spark_jobs.dedup.verification_rounds import MAX_ROUNDS, SIMILARITY_SCHEMA, Round, RoundSize
from spark_jobs.readers.shards import document_ids
from spark_jobs.runtime import progress
from spark_jobs.runtime.columns import buffers
from spark_jobs.runtime.session import fit_queries
from spark_jobs.runtime.tables import read_columns, write_columns

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Batches = Iterable[pa.RecordBatch]

#: Text that one task of the comparison reads, before its sort spills to disk.
_TASK_TEXT_BYTES = 128 * 2**20

#: SIMILARITY_SCHEMA, as Spark has it.
SIMILARITY_COLUMNS = "doc bigint, kept bigint, similarity double"


@dataclass(frozen=True)
class Verification:
    """The numbers of compared pairs, of rounds, and of documents that are not settled."""

    pairs: int
    rounds: int
    unsettled: int = 0


def verify(spark: SparkSession, corpus: Corpus, partitions: Partitions, run: ExchangeRunner) -> Verification:
    """Run rounds until no pair is left to compare, or MAX_ROUNDS of them."""
    fit_queries(spark, corpus.documents)
    texts, pairs = _Texts(spark, corpus), 0
    for number in range(MAX_ROUNDS):
        size = candidate_pairs(partitions, Round(number), run)
        pairs += size.pairs
        progress.report("verify", number, number + (size.pairs > 0), "rounds")
        if not size.pairs:
            return Verification(pairs, number)
        similarities = exact_similarities(
            texts.read(Round(number).pairs, "doc bigint, kept bigint"),
            texts.of(Round(number), size.waiting),
            shingles(corpus.recipe.near_dedup),
            corpus.text_bytes,
        )
        write_columns(similarities, texts.uri(Round(number).compared))
    waiting = candidate_pairs(partitions, Round(MAX_ROUNDS), run).waiting
    if waiting:
        progress.warn(
            f"verify: after {MAX_ROUNDS} rounds {waiting} documents are not compared with all their "
            "candidates; all of them are kept"
        )
    return Verification(pairs, MAX_ROUNDS, waiting)


def candidate_pairs(partitions: Partitions, this: Round, run: ExchangeRunner) -> RoundSize:
    """Save the pairs of a round."""
    steps = [
        partial(step, partitions, this)
        for step in (
            verification_rounds.send_settled,
            verification_rounds.send_candidates,
            verification_rounds.choose_representatives,
            verification_rounds.send_pairs,
        )
    ]
    last = partial(verification_rounds.save_pairs, partitions, this)
    sizes = run(f"verify: pairs of round {this.number}", steps, last)
    return RoundSize(sum(size.pairs for size in sizes), sum(size.waiting for size in sizes))


class _Texts:
    """The texts of documents that are not settled. They are collected again when half of them are settled.

    So all rounds together read a few times as much as the first one.
    """

    def __init__(self, spark: SparkSession, corpus: Corpus) -> None:
        self._spark, self._corpus = spark, corpus
        self._gathered: Round | None = None
        self._documents = 0

    def of(self, this: Round, waiting: int) -> DataFrame:
        """Return texts (doc, text) that include those of the documents that a round needs."""
        if self._gathered is None or 2 * waiting < self._documents:
            source = self._all(this) if self._gathered is None else self._read_texts(self._gathered)
            needed = source.join(self.read(this.waiting, "doc bigint"), "doc", "left_semi")
            write_columns(needed, self.uri(this.texts))
            self._gathered, self._documents = this, waiting
        return self._read_texts(self._gathered)

    def uri(self, folder: str) -> str:
        """Return the URI of a folder of intermediate results."""
        return join(self._corpus.layout.near_dedup, folder)

    def read(self, folder: str, columns: str) -> DataFrame:
        """Read columns of a folder of intermediate results."""
        return read_columns(self._spark, self.uri(folder), columns)

    def _read_texts(self, gathered: Round) -> DataFrame:
        return self.read(gathered.texts, "doc bigint, text string")

    def _all(self, first: Round) -> DataFrame:
        """Return the texts of this version, and those of its base that the first round may need."""
        layout = self._corpus.layout
        own = read_columns(self._spark, layout.clean, "doc bigint, text string")
        if not self._corpus.first_new:
            return own
        folders = [folder for folder in (layout.documents, layout.held_out) if STORE.uris(folder)]
        wanted = self.read(first.waiting, "doc bigint").where(f"doc < {self._corpus.first_new}")
        return own.union(base_texts(self._spark, wanted, folders, self._corpus.shard_names))


def exact_similarities(pairs: DataFrame, texts: DataFrame, shingles: Shingles, text_bytes: int) -> DataFrame:
    """Return (doc, kept, similarity) of pairs (doc, kept) by texts (doc, text).

    ``text_bytes`` is the size of the corpus and determines the number of tasks.
    """
    from pyspark.sql import functions as sf

    kept = pairs.select(sf.col("kept").alias("doc"), "kept").distinct()
    tasks = max(pairs.sparkSession.sparkContext.defaultParallelism, -(-text_bytes // _TASK_TEXT_BYTES))
    clusters = (
        texts.join(pairs.select("doc", "kept").unionByName(kept), "doc")
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
    """Return the texts (doc, text) of the documents ``wanted`` (doc) of a base, whose files have ids only."""
    named = wanted.mapInArrow(partial(_with_ids, list(shard_names)), "doc bigint, id string")
    documents = spark.read.schema("id string, text string").parquet(*folders)
    return documents.join(named, "id").select("doc", "text")


def _with_ids(shard_names: Sequence[str], batches: Batches) -> Batches:
    for batch in batches:
        ids = pa.array(document_ids(shard_names, batch.column("doc").to_pylist()), pa.string())
        yield pa.record_batch([batch.column("doc"), ids], names=["doc", "id"])


def _compared(shingles: Shingles, batches: Batches) -> Batches:
    ngrams, before = np.empty(0, np.uint64), None
    for batch in batches:
        docs, kept = batch.column("doc").to_numpy(), batch.column("kept").to_numpy()
        is_kept = docs == kept
        begins = np.concatenate([[kept[0] != before], kept[1:] != kept[:-1]])
        if (begins & ~is_kept).any():
            lost = int(kept[begins & ~is_kept][0])
            raise IntegrityError("the text of a kept document is missing", where=f"document {lost}")
        data, offsets = buffers(batch.column("text"))
        similar, ngrams = jaccard.similarities(data, offsets, is_kept, shingles, ngrams)
        before = kept[-1]
        yield pa.record_batch([docs, kept, similar], schema=SIMILARITY_SCHEMA)
