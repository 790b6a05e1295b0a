"""Chooses the kept documents that are held out.

The choice depends on the hash of the id, and not on the order of work. Of each subset, ``share`` is held out,
but at most ``max_documents_per_subset``, and at least one document of a subset with SUBSET_WITH_HELD_OUT kept
documents. In a small corpus, the smallest hashes of all are held out, until there are ``min_documents`` or a
quarter of the kept documents.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.recipes.corpus import HeldOutRecipe
from spark_jobs.dedup.arrays import Flags, Integers, integers, runs
from spark_jobs.dedup.exchange import Inbox, Message, send
from spark_jobs.dedup.partitions import Partitions

#: A subset with at least this many kept documents has one that is held out.
SUBSET_WITH_HELD_OUT = 20
#: To reach ``min_documents``, at most one in this number of kept documents is held out.
ONE_IN = 4

#: A kept document that may be held out; ``id_hash`` has 63 bits.
CANDIDATE_SCHEMA = pa.schema([("doc", pa.int64()), ("subset", pa.string()), ("id_hash", pa.int64())])
#: How many documents of a subset a partition keeps.
COUNT_SCHEMA = pa.schema([("subset", pa.string()), ("documents", pa.int64())])
_DOC_SCHEMA = pa.schema([("doc", pa.int64())])


def held_out(candidates: pa.Table, counts: pa.Table, recipe: HeldOutRecipe) -> pa.Table:
    """Return the candidates that are held out; ``counts`` are the kept documents of all partitions."""
    totals = counts.group_by("subset").aggregate([("documents", "sum")])
    large = totals.filter(pc.greater_equal(totals.column("documents_sum"), SUBSET_WITH_HELD_OUT))
    of_large = pc.is_in(candidates.column("subset"), value_set=large.column("subset").combine_chunks())
    documents = pc.sum(counts.column("documents")).as_py() or 0
    smallest = min(recipe.min_documents, documents // ONE_IN)
    return candidates.filter(pa.array(_chosen(candidates, np.asarray(of_large), smallest, recipe)))


def possible_candidates(kept: pa.Table, recipe: HeldOutRecipe) -> pa.Table:
    """Return the kept documents of one partition that may be held out, without data of the others."""
    everywhere = np.ones(kept.num_rows, np.bool_)
    return kept.filter(pa.array(_chosen(kept, everywhere, recipe.min_documents, recipe)))


def _chosen(documents: pa.Table, of_large: Flags, smallest: int, recipe: HeldOutRecipe) -> Flags:
    """Choose documents: ``of_large`` flags those whose subset has one in any case."""
    docs, hashes = (integers(documents.column(name)) for name in ("doc", "id_hash"))
    subsets = integers(documents.column("subset").combine_chunks().dictionary_encode().indices)
    by_hash = np.lexsort((docs, hashes))
    by_subset = by_hash[np.argsort(subsets[by_hash], kind="stable")]
    rank, rank_in_subset = np.empty((2, len(docs)), np.int64)
    rank[by_hash] = np.arange(len(docs))
    starts, run = runs(subsets[by_subset])
    rank_in_subset[by_subset] = np.arange(len(docs)) - starts[run]
    within_share = hashes < int(recipe.share * 2**63)
    regular = within_share & (rank_in_subset < recipe.max_documents_per_subset)
    flags: Flags = regular | (of_large & (rank_in_subset == 0)) | (rank < smallest)
    return flags


def send_candidates(kept: pa.Table, recipe: HeldOutRecipe) -> Iterator[Message]:
    """Send what one partition keeps (CANDIDATE_SCHEMA) to the task that chooses: candidates and counts."""
    counts = kept.group_by("subset").aggregate([([], "count_all")]).rename_columns(COUNT_SCHEMA.names)
    yield Message(0, "counts", counts)
    yield Message(0, "candidates", possible_candidates(kept, recipe))


def choose_held_out(partitions: Partitions, _: int, inbox: Inbox) -> Iterator[Message]:
    """Send the held-out documents to their partitions."""
    candidates, counts = inbox.rows("candidates", CANDIDATE_SCHEMA), inbox.rows("counts", COUNT_SCHEMA)
    chosen = held_out(candidates, counts, partitions.recipe.held_out).select(_DOC_SCHEMA.names)
    yield from send("held_out", chosen, partitions.of(integers(chosen.column("doc"))))


def received_held_out(inbox: Inbox) -> Integers:
    """Return the documents that ``choose_held_out`` named."""
    return integers(inbox.rows("held_out", _DOC_SCHEMA).column("doc"))
