"""Candidate pairs by LSH: documents that share a band key are in one bucket (MMDS, ch. 3.4).

``send_buckets`` and ``join_buckets`` are two steps of an exchange that joins the documents of each bucket by
edges. A bucket of n documents has n - 1 edges, and not all pairs, whose number would be quadratic. It is
never held as a list: each partition sends one document for each of its buckets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from spark_jobs.dedup import union_find
from spark_jobs.dedup.arrays import Integers, integers
from spark_jobs.dedup.components import EDGE_SCHEMA, EDGES_BETWEEN, EDGES_WITHIN, spanning_forest
from spark_jobs.dedup.exact_duplicates import exact_duplicates
from spark_jobs.dedup.exchange import Inbox, Message, send
from spark_jobs.dedup.partitions import Partitions
from spark_jobs.dedup.survivors import precedence_order
from spark_jobs.runtime.columns import list_rows

_ENTRY_SCHEMA = pa.schema([("band", pa.int64()), ("doc", pa.int64()), ("characters", pa.int64())])


@dataclass(frozen=True)
class Comparable:
    """The documents of a partition that are compared with others, in the order of precedence."""

    docs: Integers
    characters: Integers
    #: A row for each document, a column for each band.
    bands: Integers


def comparable_documents(partitions: Partitions, partition: int) -> Comparable:
    """Return all documents with n-grams, except exact duplicates of others."""
    signatures = partitions.signatures(partition, ["doc", "characters", "ngrams", "bands"])
    docs, characters = (integers(signatures.column(name)) for name in ("doc", "characters"))
    copies = integers(exact_duplicates(partitions, partition).column("doc"))
    compared = (integers(signatures.column("ngrams")) > 0) & ~np.isin(docs, copies)
    order = precedence_order(docs, characters, partitions.first_new)
    order = order[compared[order]]
    return Comparable(docs[order], characters[order], list_rows(signatures.column("bands"))[order])


def send_buckets(partitions: Partitions, partition: int, _: Inbox) -> Iterator[Message]:
    """Save the edges within a partition, and send a document of each bucket to the task that joins it.

    The document is the first one of all that the edges connect, so that few different documents are sent.
    """
    compared = comparable_documents(partitions, partition)
    parents = np.arange(len(compared.docs))
    buckets = [_join_band(parents, keys) for keys in compared.bands.T]
    union_find.settle(parents)
    inner = np.flatnonzero(parents != np.arange(len(parents)))
    columns = [
        values[nodes] for nodes in (inner, parents[inner]) for values in (compared.docs, compared.characters)
    ]
    partitions.save(EDGES_WITHIN, partition, pa.table(columns, schema=EDGE_SCHEMA))
    if partitions.count == 1:
        return
    for keys, nodes in buckets:
        roots = parents[nodes]
        entries = pa.table([keys, compared.docs[roots], compared.characters[roots]], schema=_ENTRY_SCHEMA)
        yield from send("buckets", entries, keys % partitions.count)


def _join_band(parents: Integers, keys: Integers) -> tuple[Integers, Integers]:
    """Join the documents of each bucket of one band. Return the buckets and one document of each."""
    keys = np.ascontiguousarray(keys)
    order = np.argsort(keys, kind="stable")
    union_find.join_buckets(parents, order, keys)
    ordered = keys[order]
    begins = np.concatenate([[True], ordered[1:] != ordered[:-1]])[: len(order)]
    return ordered[begins], order[begins]


def join_buckets(partitions: Partitions, task: int, inbox: Inbox) -> tuple[int, int]:
    """Save the edges between partitions of the buckets that this task joins.

    Returns the exact duplicates of the partition of this number, and its edges of both kinds.
    """
    entries = inbox.rows("buckets", _ENTRY_SCHEMA)
    bands, docs, characters = (integers(entries.column(name)) for name in _ENTRY_SCHEMA.names)
    order = np.argsort(bands, kind="stable")
    shared = np.flatnonzero(bands[order[1:]] == bands[order[:-1]])
    left, right = order[shared], order[shared + 1]
    columns = [docs[left], characters[left], docs[right], characters[right]]
    edges = spanning_forest(pa.table(columns, schema=EDGE_SCHEMA), partitions.first_new)
    partitions.save(EDGES_BETWEEN, task, edges)
    within = partitions.saved(EDGES_WITHIN, task, EDGE_SCHEMA)
    return exact_duplicates(partitions, task).num_rows, within.num_rows + edges.num_rows
