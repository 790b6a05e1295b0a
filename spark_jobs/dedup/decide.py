"""What becomes of every document: in one task while the band keys fit its memory, else by Spark's queries.

Both decide the same; a property test holds them against each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from include.object_store import STORE
from include.object_store.locations import join
from include.recipes.corpus import CorpusRecipe
from spark_jobs.cleaning.task import CleanFile
from spark_jobs.corpus_version.layout import VersionLayout
from spark_jobs.dedup.candidate_pairs import meetings, star_edges, turns, waiting
from spark_jobs.dedup.components import connected_components
from spark_jobs.dedup.exact_duplicates import exact_duplicates
from spark_jobs.dedup.one_task import Decided, decide, decide_verified, propose
from spark_jobs.dedup.rounds import LIMIT, Proposed, Rounds, Verified, leaders
from spark_jobs.dedup.signatures import shingles
from spark_jobs.dedup.survivors import all_duplicates, estimated, held_out, near_duplicates
from spark_jobs.dedup.verification import (
    SIMILARITY_COLUMNS,
    base_texts,
    clean_texts,
    exact_similarities,
)
from spark_jobs.runtime import progress
from spark_jobs.runtime.session import fit_queries
from spark_jobs.runtime.tables import SIGNED_COLUMNS, read_columns, write_by_file, write_columns

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

R = TypeVar("R")

#: Bytes of band keys that one task decides on; a corpus with more is decided by Spark (``transforms``).
ONE_TASK_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Corpus:
    """The documents to decide on: those of ``files``; below ``first_new`` are those of the base."""

    layout: VersionLayout
    recipe: CorpusRecipe
    files: Sequence[CleanFile]
    first_new: int = 0
    #: Documents that the base keeps: the rows of its index.
    known: int = 0
    #: Of the base and of this version, by the index of the shard.
    shard_names: Sequence[str] = ()

    @property
    def rounds(self) -> Rounds:
        """Where pairs are verified."""
        return Rounds(join(self.layout.near_dedup, "rounds"), self.recipe.near_dedup.threshold)

    @property
    def signatures(self) -> list[str]:
        """Files of SIGNED_SCHEMA, ascending: the index holds what the base keeps, and nothing yet of this."""
        own = (join(self.layout.signatures, file.name) for file in self.files)
        return [*STORE.uris(self.layout.index), *own]


def decide_clusters(spark: SparkSession, corpus: Corpus) -> Decided:
    """Write for each clean file what becomes of its documents, save of those that are simply kept."""
    if not corpus.files:
        return Decided(0, 0, 0)
    rows = corpus.known + sum(file.documents for file in corpus.files)
    bands = corpus.recipe.near_dedup.bands
    if 8 * rows * bands > ONE_TASK_BYTES:
        fit_queries(spark, rows * bands)
        return decide_on_spark(spark, corpus)
    if corpus.recipe.near_dedup.verify:
        fit_queries(spark, rows)
    return decide_in_one_task(spark, corpus)


def decide_in_one_task(spark: SparkSession, corpus: Corpus) -> Decided:
    """Decide in one task, by ``one_task``."""
    layout, recipe, first_new, rounds = corpus.layout, corpus.recipe, corpus.first_new, corpus.rounds
    uris = corpus.signatures

    def in_task(function: Callable[[Sequence[str]], R]) -> R:
        return progress.run_tasks(spark, "clusters", "tasks", function, [uris])[0]

    if not recipe.near_dedup.verify:
        return in_task(partial(decide, layout, recipe, first_new))
    verified = _verify(spark, corpus, lambda number: in_task(partial(propose, rounds, number, first_new)))
    decided = in_task(partial(decide_verified, layout, recipe, rounds, first_new))
    return replace(decided, verified=verified)


def decide_on_spark(spark: SparkSession, corpus: Corpus) -> Decided:
    """Decide by Spark queries over the signatures."""
    layout = corpus.layout
    signed = read_columns(spark, layout.signatures, SIGNED_COLUMNS)
    known = signed
    if STORE.uris(layout.index):
        known = read_columns(spark, layout.index, SIGNED_COLUMNS).unionByName(signed)
    exact = exact_duplicates(known).persist()
    comparable = known.join(exact.select("doc"), "doc", "left_anti").where("ngrams > 0")
    edges, verified = 0, None
    if corpus.recipe.near_dedup.verify:
        verified = _verify(spark, corpus, partial(_proposed, spark, corpus, comparable))
        near = _accepted(spark, corpus.rounds, verified.rounds)
    else:
        pairs, edges = _clustered(spark, comparable, corpus)
        near = estimated(pairs, comparable)
    duplicates = all_duplicates(near, exact, signed).persist()
    kept = signed.join(duplicates.select("doc"), "doc", "left_anti")
    copies, dropped = exact.count(), duplicates.count()
    chosen = held_out(kept, signed.count() - dropped, corpus.recipe.held_out)
    write_by_file(duplicates.unionByName(chosen, allowMissingColumns=True), layout.decisions)
    for frame in (exact, duplicates):
        frame.unpersist()
    return Decided(copies, dropped - copies, edges, verified)


def _clustered(spark: SparkSession, comparable: DataFrame, corpus: Corpus) -> tuple[DataFrame, int]:
    """The pairs (doc, kept) of the clusters, and the edges that joined these."""
    work = corpus.layout.near_dedup
    edges_uri = join(work, "edges")
    progress.report("clusters", 0, 2, "steps")
    write_columns(star_edges(comparable), edges_uri)
    progress.report("clusters", 1, 2, "steps")
    components = connected_components(spark, edges_uri, work)
    progress.report("clusters", 2, 2, "steps")
    edges = read_columns(spark, edges_uri, "doc bigint, root bigint").count()
    return near_duplicates(components, comparable, corpus.first_new), edges


def _proposed(spark: SparkSession, corpus: Corpus, comparable: DataFrame, number: int) -> Proposed:
    from pyspark.sql import functions as sf

    rounds = corpus.rounds
    compared = _compared(spark, rounds, number)
    settled = compared.select(sf.col("kept").alias("doc"))
    settled = settled.union(compared.where(f"similarity >= {rounds.threshold}").select("doc"))
    active = comparable.join(settled, "doc", "left_anti")
    met = meetings(active, corpus.first_new, leaders(number)).persist()
    write_columns(turns(met, corpus.first_new), rounds.pairs(number))
    write_columns(waiting(met), rounds.waiting(number))
    met.unpersist()
    return Proposed(_pairs(spark, rounds, number).count(), _waiting(spark, rounds, number).count())


def _accepted(spark: SparkSession, rounds: Rounds, number: int) -> DataFrame:
    """Dropped documents (doc, kept, similarity): for the most similar one, the first of equals."""
    from pyspark.sql import functions as sf

    alike = _compared(spark, rounds, number).where(f"similarity >= {rounds.threshold}")
    best = alike.groupBy("doc").agg(sf.max(sf.struct("similarity", -sf.col("kept"))).alias("best"))
    return best.selectExpr("doc", "-best.col2 kept", "cast(best.similarity as float) similarity")


def _compared(spark: SparkSession, rounds: Rounds, number: int) -> DataFrame:
    """What became of the pairs of so many rounds."""
    if not number:
        return spark.createDataFrame([], SIMILARITY_COLUMNS)
    return spark.read.schema(SIMILARITY_COLUMNS).parquet(*(rounds.compared(n) for n in range(number)))


def _verify(spark: SparkSession, corpus: Corpus, proposed: Callable[[int], Proposed]) -> Verified:
    """Run rounds until nothing is proposed, or as many as there may be."""
    rounds, pairs = corpus.rounds, 0
    # read again in each round, so gathered anew whenever half of them are no longer needed
    gathered, texts = -1, 0
    for number in range(LIMIT):
        proposal = proposed(number)
        pairs += proposal.pairs
        progress.report("verify", number, number + (proposal.pairs > 0), "rounds")
        if not proposal.pairs:
            return Verified(pairs, number)
        if gathered < 0 or 2 * proposal.waiting < texts:
            source = _texts(spark, corpus) if gathered < 0 else _gathered(spark, rounds, gathered)
            needed = source.join(_waiting(spark, rounds, number), "doc", "left_semi")
            write_columns(needed, rounds.texts(number))
            gathered, texts = number, proposal.waiting
        similarities = exact_similarities(
            _pairs(spark, rounds, number),
            _gathered(spark, rounds, gathered),
            shingles(corpus.recipe.near_dedup),
            sum(file.text_bytes for file in corpus.files),
        )
        write_columns(similarities, rounds.compared(number))
    waiting = proposed(LIMIT).waiting
    if waiting:
        progress.warn(f"verify: after {LIMIT} rounds {waiting} documents wait for their turn; all are kept")
    return Verified(pairs, LIMIT, waiting)


def _texts(spark: SparkSession, corpus: Corpus) -> DataFrame:
    """Texts (doc, text) of this version and of its base, as far as the first round may need them."""
    own = clean_texts(spark, corpus.layout.clean)
    if not corpus.first_new:
        return own
    folders = [f for f in (corpus.layout.documents, corpus.layout.held_out) if STORE.uris(f)]
    wanted = _waiting(spark, corpus.rounds, 0).where(f"doc < {corpus.first_new}")
    return own.union(base_texts(spark, wanted, folders, corpus.shard_names))


def _gathered(spark: SparkSession, rounds: Rounds, number: int) -> DataFrame:
    return read_columns(spark, rounds.texts(number), "doc bigint, text string")


def _waiting(spark: SparkSession, rounds: Rounds, number: int) -> DataFrame:
    return read_columns(spark, rounds.waiting(number), "doc bigint")


def _pairs(spark: SparkSession, rounds: Rounds, number: int) -> DataFrame:
    return read_columns(spark, rounds.pairs(number), "doc bigint, kept bigint")
