"""Decides which documents are duplicates, which of them stay, and which documents are held out.

The steps are the same for a corpus of any size. While the band keys fit the memory of one task, all documents
are one partition and the steps run in that task; otherwise each step is a stage of a Spark job with one task
for each partition (docs/adr/0007).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING

from include.object_store import STORE
from spark_jobs.dedup.candidate_pairs import join_buckets, send_buckets
from spark_jobs.dedup.components import CLUSTERS, write_clusters, write_clusters_here
from spark_jobs.dedup.corpus import Corpus
from spark_jobs.dedup.decisions import save_dropped, save_held_out, send_copies, settle
from spark_jobs.dedup.estimated_similarity import estimated, send_minima, send_pairs
from spark_jobs.dedup.exact_duplicates import compare_texts, save_exact_duplicates, send_texts
from spark_jobs.dedup.exchange import (
    ExchangeRunner,
    Inbox,
    Message,
    Step,
    run_in_one_task,
    run_in_process,
    run_on_spark,
)
from spark_jobs.dedup.held_out import choose_held_out
from spark_jobs.dedup.partitions import Partitions
from spark_jobs.dedup.verification import Verification, verify
from spark_jobs.dedup.verification_rounds import send_verified, verified
from spark_jobs.runtime import progress

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class DedupTasks(StrEnum):
    """The number of tasks that find duplicates: one, many, or as the size of the corpus requires."""

    AUTO = "auto"
    ONE = "one"
    MANY = "many"


@dataclass(frozen=True)
class Decided:
    """The number of exact duplicates, and of clusters of near duplicates or what verification took."""

    exact: int = 0
    clusters: int = 0
    verification: Verification | None = None
    #: Documents of this version with too few words (or characters) to be compared with others.
    not_compared: int = 0


def decide(spark: SparkSession, corpus: Corpus, tasks: DedupTasks = DedupTasks.AUTO) -> Decided:
    """Write the decisions on the documents of each clean file that are dropped or held out."""
    for folder in (corpus.layout.near_dedup, corpus.layout.decisions):
        STORE.delete_folder(folder)
    if not corpus.files:
        return Decided()
    one = corpus.fits_one_task if tasks is DedupTasks.AUTO else tasks is DedupTasks.ONE
    return _decide_in_one_task(spark, corpus) if one else _decide_in_many_tasks(spark, corpus)


def _decide_in_one_task(spark: SparkSession, corpus: Corpus) -> Decided:
    partitions = corpus.one_partition()
    if corpus.recipe.near_dedup.verify:
        return _decide_verified(spark, corpus, partitions, partial(run_in_one_task, spark, 1))
    return progress.run_tasks(spark, "clusters", "tasks", _decide_here, [partitions])[0]


def _decide_in_many_tasks(spark: SparkSession, corpus: Corpus) -> Decided:
    partitions = corpus.several_partitions(spark.sparkContext.defaultParallelism)
    run = partial(run_on_spark, spark, partitions.count)
    if corpus.recipe.near_dedup.verify:
        return _decide_verified(spark, corpus, partitions, run)
    return _decide_estimated(partitions, run, partial(write_clusters, spark, partitions))


def _decide_here(partitions: Partitions) -> Decided:
    run = partial(run_in_process, partitions.count)
    return _decide_estimated(partitions, run, partial(write_clusters_here, partitions))


def _decide_estimated(partitions: Partitions, run: ExchangeRunner, write: Callable[[int], int]) -> Decided:
    """Decide by MinHash signatures only: of all documents that buckets connect, one stays."""
    steps = [partial(step, partitions) for step in (send_texts, compare_texts, _save_exact_and_send_buckets)]
    found = run("clusters: exact duplicates and buckets", steps, partial(join_buckets, partitions))
    clusters = write(sum(edges for _, edges in found))
    pairs = STORE.uris(partitions.folder(CLUSTERS))
    steps = [partial(send_pairs, partitions, pairs), partial(_send_minima_and_copies, partitions)]
    not_compared = _settle(partitions, run, [*steps, partial(_settle_estimated, partitions)])
    return Decided(sum(exact for exact, _ in found), clusters, not_compared=not_compared)


def _decide_verified(
    spark: SparkSession, corpus: Corpus, partitions: Partitions, run: ExchangeRunner
) -> Decided:
    """Decide by comparing the n-grams of candidate pairs."""
    steps = [partial(step, partitions) for step in (send_texts, compare_texts)]
    exact = run("clusters: exact duplicates", steps, partial(save_exact_duplicates, partitions))
    verification = verify(spark, corpus, partitions, run)
    send = partial(_send_verified_and_copies, partitions, verification.rounds)
    not_compared = _settle(partitions, run, [send, partial(_settle_verified, partitions)])
    return Decided(sum(exact), verification=verification, not_compared=not_compared)


def _settle(partitions: Partitions, run: ExchangeRunner, steps: Sequence[Step]) -> int:
    """Save all decisions; the last of ``steps`` is ``decisions.settle``.

    Returns the number of documents that were compared with none.
    """
    last_steps = [partial(step, partitions) for step in (save_dropped, choose_held_out)]
    return sum(run("clusters: decisions", [*steps, *last_steps], partial(save_held_out, partitions)))


def _save_exact_and_send_buckets(partitions: Partitions, partition: int, inbox: Inbox) -> Iterator[Message]:
    save_exact_duplicates(partitions, partition, inbox)
    yield from send_buckets(partitions, partition, inbox)


def _send_minima_and_copies(partitions: Partitions, partition: int, inbox: Inbox) -> Iterator[Message]:
    yield from send_minima(partitions, partition, inbox)
    yield from send_copies(partitions, partition, inbox)


def _send_verified_and_copies(
    partitions: Partitions, rounds: int, partition: int, inbox: Inbox
) -> Iterator[Message]:
    yield from send_verified(partitions, rounds, partition, inbox)
    yield from send_copies(partitions, partition, inbox)


def _settle_estimated(partitions: Partitions, partition: int, inbox: Inbox) -> Iterator[Message]:
    yield from settle(partitions, partition, estimated(partitions, partition, inbox), inbox)


def _settle_verified(partitions: Partitions, partition: int, inbox: Inbox) -> Iterator[Message]:
    yield from settle(partitions, partition, verified(inbox), inbox)
