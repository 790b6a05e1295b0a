"""Chooses the candidate pairs that each round of verification compares, until every document is settled.

The rule is greedy. Documents are taken in the order of precedence (``survivors``): a document stays unless
its similarity to an earlier one that stays and shares a bucket with it reaches the recipe's threshold. A
round settles every document that is the representative of each of its buckets: it stays, and all others of
these buckets are compared with it. The representative of a bucket is its first document. Documents of the
base stay in any case, so several of them can represent a bucket at once: one in the first round, which drops
the many copies of a few, and twice as many in each round after it. As in greedy independent sets a few rounds
settle most (Blelloch et al., "Greedy Sequential Maximal Independent Set and Matching are Parallel on
Average", SPAA 2012), and the result is the same as that of going one by one.

``send_settled``, ``send_candidates``, ``choose_representatives``, ``send_pairs`` and ``save_pairs`` are the
steps of one exchange, which finds the pairs of one round.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.object_store import STORE
from include.object_store.locations import join
from spark_jobs.dedup.arrays import Flags, Integers, in_ranges, integers, look_up, runs
from spark_jobs.dedup.candidate_pairs import Comparable, comparable_documents
from spark_jobs.dedup.decisions import DROPPED_SCHEMA
from spark_jobs.dedup.exact_duplicates import PAIR_SCHEMA
from spark_jobs.dedup.exchange import Inbox, Message, send
from spark_jobs.dedup.partitions import Partitions
from spark_jobs.dedup.survivors import precedence
from spark_jobs.runtime.tables import read_tables

SIMILARITY_SCHEMA = PAIR_SCHEMA.append(pa.field("similarity", pa.float64()))

#: A round takes as long as one pass over the texts of its pairs. Documents that wait after the last are kept.
MAX_ROUNDS = 64

#: In a bucket, a new document is compared with at most this number of documents of the base per round.
_MAX_REPRESENTATIVES = 512

_DOC_SCHEMA = pa.schema([("doc", pa.int64())])
_ENTRY_SCHEMA = pa.schema(
    [("band", pa.int64()), ("doc", pa.int64()), ("characters", pa.int64()), ("with_new", pa.bool_())]
)
_REPRESENTATIVE_SCHEMA = pa.schema([("band", pa.int64()), ("doc", pa.int64())])


@dataclass(frozen=True)
class RoundSize:
    """The number of pairs that a round compares, and of documents that this or a later round may compare."""

    pairs: int
    waiting: int


@dataclass(frozen=True)
class Round:
    """One round and the folders of its intermediate results, below ``VersionLayout.near_dedup``."""

    number: int

    def folder(self, name: str) -> str:
        """Return the path of a folder of this round."""
        return f"rounds/round-{self.number:03d}/{name}"

    @property
    def pairs(self) -> str:
        """The folder of the pairs that this round compares (PAIR_SCHEMA)."""
        return self.folder("pairs")

    @property
    def waiting(self) -> str:
        """The folder of the documents that this round or a later one may compare (doc)."""
        return self.folder("waiting")

    @property
    def texts(self) -> str:
        """The folder of their texts (doc, text), in a round that collects them."""
        return self.folder("texts")

    @property
    def compared(self) -> str:
        """The folder of the pairs with their similarity (SIMILARITY_SCHEMA)."""
        return self.folder("compared")

    @property
    def settled(self) -> str:
        """The folder of the documents that earlier rounds have settled (doc)."""
        return self.folder("settled")

    @property
    def representatives(self) -> int:
        """The number of documents of the base that may represent a bucket at once."""
        return min(1 << self.number, _MAX_REPRESENTATIVES)


def representatives(place: Integers, new: Flags, at_once: int) -> Flags:
    """Flag the representatives of buckets; ``place`` counts the documents of a bucket before each one."""
    flags: Flags = (place == 0) | (~new & (place < at_once))
    return flags


def send_settled(partitions: Partitions, this: Round, task: int, _: Inbox) -> Iterator[Message]:
    """Send the documents that the round before has settled to their partitions.

    These are the kept documents of the compared pairs, and the documents that were dropped.
    """
    if this.number:
        compared = _compared(partitions, Round(this.number - 1), task)
        alike = compared.filter(_is_alike(partitions, compared))
        settled = np.unique(
            np.concatenate([integers(compared.column("kept")), integers(alike.column("doc"))])
        )
        yield from send("settled", pa.table([settled], schema=_DOC_SCHEMA), partitions.of(settled))


def send_candidates(partitions: Partitions, this: Round, partition: int, inbox: Inbox) -> Iterator[Message]:
    """Save the settled documents. Send those that may represent a bucket to the task of the bucket."""
    settled = inbox.rows("settled", _DOC_SCHEMA)
    if this.number:
        before = partitions.saved(Round(this.number - 1).settled, partition, _DOC_SCHEMA)
        settled = pa.concat_tables([before, settled])
    partitions.save(this.settled, partition, settled)
    if partitions.count == 1:
        return
    active = _active(partitions, this, partition)
    new = active.docs >= partitions.first_new
    for bands in active.bands.T:
        place, with_new, order = _places(bands, new)
        may_represent = representatives(place, new[order], this.representatives)
        chosen = order[may_represent]
        columns = [bands[chosen], active.docs[chosen], active.characters[chosen], with_new[may_represent]]
        yield from send(
            "candidates", pa.table(columns, schema=_ENTRY_SCHEMA), bands[chosen] % partitions.count
        )


def choose_representatives(partitions: Partitions, this: Round, _: int, inbox: Inbox) -> Iterator[Message]:
    """Send the representatives of each bucket with a new document to all partitions with documents in it."""
    entries = inbox.rows("candidates", _ENTRY_SCHEMA)
    bands, docs, characters = (integers(entries.column(name)) for name in ("band", "doc", "characters"))
    with_new = np.asarray(entries.column("with_new"))
    order = np.lexsort((*precedence(docs, characters, partitions.first_new)[::-1], bands))
    bands, docs = bands[order], docs[order]
    starts, bucket = runs(bands)
    of_interest = np.logical_or.reduceat(with_new[order], starts)[bucket] if len(starts) else with_new
    place = np.arange(len(docs)) - starts[bucket]
    chosen = of_interest & representatives(place, docs >= partitions.first_new, this.representatives)
    # Every partition with documents in the bucket has sent at least one.
    members = np.unique(bucket[of_interest] * partitions.count + partitions.of(docs[of_interest]))
    ends = (np.searchsorted(bucket[chosen], members // partitions.count, side) for side in ("left", "right"))
    member, row = in_ranges(*ends)
    rows = pa.table([bands[chosen][row], docs[chosen][row]], schema=_REPRESENTATIVE_SCHEMA)
    yield from send("representatives", rows, members[member] % partitions.count)


def send_pairs(partitions: Partitions, this: Round, partition: int, inbox: Inbox) -> Iterator[Message]:
    """Send the pairs (doc, kept) of a new document and a representative to the representative's partition.

    A document that does not represent one of its buckets must wait: it can still be dropped.
    """
    active = _active(partitions, this, partition)
    chosen = inbox.rows("representatives", _REPRESENTATIVE_SCHEMA)
    if partitions.count == 1:
        chosen = _representatives(active, partitions.first_new, this.representatives)
    chosen = chosen.sort_by("band")
    bands, docs = (integers(chosen.column(name)) for name in _REPRESENTATIVE_SCHEMA.names)
    represents = _represents(active, bands, docs)
    waits = np.zeros(len(active.docs), np.bool_)
    pairs = [np.empty((2, 0), np.int64)]
    for column, keys in enumerate(active.bands.T):
        first, end = (np.searchsorted(bands, keys, side) for side in ("left", "right"))
        others = np.flatnonzero((first < end) & ~represents[:, column])
        waits[others] = True
        others = others[active.docs[others] >= partitions.first_new]
        other, row = in_ranges(first[others], end[others])
        pairs.append(np.stack([active.docs[others][other], docs[row]]))
    yield Message(partition, "waiting", pa.table([active.docs[waits]], schema=_DOC_SCHEMA))
    found, kept = np.unique(np.concatenate(pairs, axis=1), axis=1)
    yield from send("pairs", pa.table([found, kept], schema=PAIR_SCHEMA), partitions.of(kept))


def save_pairs(partitions: Partitions, this: Round, partition: int, inbox: Inbox) -> RoundSize:
    """Save the pairs whose representative represents each of its buckets, and the documents that wait."""
    pairs, waiting = inbox.rows("pairs", PAIR_SCHEMA), inbox.rows("waiting", _DOC_SCHEMA)
    waits = np.isin(integers(pairs.column("kept")), integers(waiting.column("doc")))
    waiting = pa.concat_tables([waiting, pairs.select(["kept"]).rename_columns(["doc"])])
    waiting = waiting.group_by("doc").aggregate([])
    pairs = pairs.filter(pa.array(~waits))
    partitions.save(this.pairs, partition, pairs)
    partitions.save(this.waiting, partition, waiting)
    return RoundSize(pairs.num_rows, waiting.num_rows)


def send_verified(partitions: Partitions, rounds: int, task: int, _: Inbox) -> Iterator[Message]:
    """Send the pairs of all rounds that reach the threshold to the partitions of the dropped documents."""
    for number in range(rounds):
        compared = _compared(partitions, Round(number), task)
        alike = compared.filter(_is_alike(partitions, compared))
        yield from send("alike", alike, partitions.of(integers(alike.column("doc"))))


def verified(inbox: Inbox) -> pa.Table:
    """Return the near duplicates of a partition as DROPPED_SCHEMA, a row for each document.

    A document is dropped in one round, for the most similar of the documents that it was compared with there,
    or the first of equally similar ones.
    """
    order = [("doc", "ascending"), ("similarity", "descending"), ("kept", "ascending")]
    alike = inbox.rows("alike", SIMILARITY_SCHEMA).sort_by(order)
    _, first = np.unique(integers(alike.column("doc")), return_index=True)
    return alike.take(pa.array(first)).cast(DROPPED_SCHEMA)


def _active(partitions: Partitions, this: Round, partition: int) -> Comparable:
    """Return the documents that are not settled yet."""
    compared = comparable_documents(partitions, partition)
    settled = partitions.saved(this.settled, partition, _DOC_SCHEMA)
    left = ~np.isin(compared.docs, integers(settled.column("doc")))
    return Comparable(compared.docs[left], compared.characters[left], compared.bands[left])


def _places(bands: Integers, new: Flags) -> tuple[Integers, Flags, Integers]:
    """Sort documents, which are in the order of precedence, by bucket.

    Returns for each sorted position how many of its bucket come before it, and if the bucket has a new
    document; and the positions in their order.
    """
    order = np.argsort(bands, kind="stable")
    starts, bucket = runs(bands[order])
    last = np.append(starts[1:], len(order))[: len(starts)] - 1  # new documents come after those of the base
    return np.arange(len(order)) - starts[bucket], new[order[last]][bucket], order


def _representatives(active: Comparable, first_new: int, at_once: int) -> pa.Table:
    """Return the representatives of the buckets of a corpus of one partition."""
    new, rows = active.docs >= first_new, [_REPRESENTATIVE_SCHEMA.empty_table()]
    for bands in active.bands.T:
        place, with_new, order = _places(bands, new)
        chosen = order[with_new & representatives(place, new[order], at_once)]
        rows.append(pa.table([bands[chosen], active.docs[chosen]], schema=_REPRESENTATIVE_SCHEMA))
    return pa.concat_tables(rows)


def _represents(active: Comparable, bands: Integers, docs: Integers) -> Flags:
    """Flag for each document and band if the document is among the representatives (bands, docs)."""
    own, nodes = look_up(docs, active.docs)
    row, column = np.nonzero(active.bands[nodes] == bands[own, None])
    flags = np.zeros(active.bands.shape, np.bool_)
    flags[nodes[row], column] = True
    return flags


def _compared(partitions: Partitions, of: Round, task: int) -> pa.Table:
    """Read every n-th file of the compared pairs of a round."""
    uris = STORE.uris(join(partitions.layout.near_dedup, of.compared))
    return read_tables(uris[task :: partitions.count], SIMILARITY_SCHEMA)


def _is_alike(partitions: Partitions, compared: pa.Table) -> pa.ChunkedArray:
    return pc.greater_equal(compared.column("similarity"), partitions.recipe.near_dedup.threshold)
