"""Decide in one task what becomes of every document, while the signatures of the corpus fit its memory.

The Spark queries of ``candidate_pairs`` and ``survivors`` apply the same rules to a corpus that outgrows one
task; a property test compares the two. Documents are known by their position in the order of their numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from include.contracts.documents import Stage
from include.object_store import STORE
from include.object_store.locations import join
from include.recipes.corpus import CorpusRecipe, HeldOutRecipe
from spark_jobs.corpus_version.layout import VersionLayout
from spark_jobs.dedup.rounds import Proposed, Rounds, Verified, leaders
from spark_jobs.dedup.survivors import SUBSET_WITH_HELD_OUT
from spark_jobs.dedup.union_find import join_buckets, settle
from spark_jobs.runtime.columns import parquet_writer
from spark_jobs.runtime.tables import DECIDED_SCHEMA, file_folder

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_SMALL_COLUMNS = ["doc", "part", "file", "characters", "text_low", "text_high", "id_hash", "subset"]
_ROWS_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class Decided:
    """How many documents are dropped as what, and what it took: edges of buckets, or pairs in rounds."""

    exact: int
    near: int
    edges: int = 0
    verified: Verified | None = None


@dataclass(frozen=True)
class Signed:
    """The signatures of a corpus, a row a document, ascending by ``doc``; ``bands`` has a column a band."""

    table: pa.Table
    bands: Integers
    first_new: int = 0

    def column(self, name: str) -> Integers:
        """A column of numbers."""
        return np.asarray(self.table.column(name), np.int64)

    @cached_property
    def docs(self) -> Integers:
        """Their numbers."""
        return self.column("doc")

    @cached_property
    def new(self) -> Flags:
        """Those of this version; the others are the base's."""
        return np.asarray(self.docs >= self.first_new)

    @cached_property
    def twins(self) -> Integers:
        """See ``exact_twins``."""
        return exact_twins(self.column("text_low"), self.column("text_high"))

    @cached_property
    def alone(self) -> Flags:
        """Those that are no exact duplicate of another."""
        return np.asarray(self.twins == np.arange(len(self.twins)))

    @cached_property
    def comparable(self) -> Flags:
        """Those that may meet in buckets: of equal texts the first alone, and with words."""
        return self.alone & (self.column("ngrams") > 0)

    @cached_property
    def precedence(self) -> Integers:
        """Per document its place in the order: the base's, then most characters, then smallest number."""
        order = np.lexsort((self.docs, -self.column("characters"), self.new))
        precedence = np.empty(len(order), np.int64)
        precedence[order] = np.arange(len(order))
        return precedence


def decide(layout: VersionLayout, recipe: CorpusRecipe, first_new: int, signatures: Sequence[str]) -> Decided:
    """Write the decisions on the documents of each clean file.

    ``signatures`` are URIs of SIGNED_SCHEMA: the index of the base, then those of this version. Documents
    below ``first_new`` are the base's: new ones are compared with them, and they stay whatever comes.
    """
    signed = read_signed(signatures, first_new)
    roots, edges = near_roots(signed.bands, signed.comparable)
    stays = chosen(roots, signed.precedence, signed.new)
    dropped = np.flatnonzero(stays != np.arange(len(stays)))
    similarity = np.ones(len(stays), np.float32)
    similarity[dropped] = similarities(signatures, signed.docs[dropped], signed.docs[stays[dropped]])
    return _settle(layout, recipe, signed, stays, similarity, edges)


def propose(rounds: Rounds, number: int, first_new: int, signatures: Sequence[str]) -> Proposed:
    """Write the pairs of a round of verification, and the documents that may be in this or a later one."""
    signed = read_signed(signatures, first_new)
    active = signed.comparable & ~np.isin(signed.docs, rounds.settled())
    met = meetings(signed.bands, active, signed.precedence, signed.new, leaders(number))
    docs, kept = turns(met, signed.new)
    rounds.save_pairs(number, signed.docs[docs], signed.docs[kept])
    waiting = np.unique(np.concatenate([column for of_band in met for column in of_band]))
    rounds.save_waiting(number, signed.docs[waiting])
    return Proposed(len(docs), len(waiting))


def decide_verified(
    layout: VersionLayout, recipe: CorpusRecipe, rounds: Rounds, first_new: int, signatures: Sequence[str]
) -> Decided:
    """As ``decide``, by what the rounds of verification accepted."""
    signed = read_signed(signatures, first_new)
    accepted = rounds.accepted()
    dropped = np.searchsorted(signed.docs, np.asarray(accepted.column("doc")))
    stays, similarity = np.arange(len(signed.docs)), np.ones(len(signed.docs), np.float32)
    stays[dropped] = np.searchsorted(signed.docs, np.asarray(accepted.column("kept")))
    similarity[dropped] = np.asarray(accepted.column("similarity"))
    return _settle(layout, recipe, signed, stays, similarity)


def _settle(
    layout: VersionLayout,
    recipe: CorpusRecipe,
    signed: Signed,
    stays: Integers,
    similarity: npt.NDArray[np.float32],
    edges: int = 0,
) -> Decided:
    """Choose the held-out documents and write all decisions; arrays have an item a document."""
    near = int((stays != np.arange(len(stays))).sum())
    final = stays[signed.twins]  # an exact duplicate follows its twin
    kept = final == np.arange(len(final))
    held = held_out(signed, kept & signed.new, recipe.held_out)
    stages = np.where(signed.alone, Stage.NEAR_DEDUP, Stage.EXACT_DEDUP)
    table = _decisions(signed.docs, final, similarity[signed.twins], stages)
    _write(layout, signed, table, signed.new & (~kept | held))
    return Decided(exact=int((~signed.alone).sum()), near=near, edges=edges)


def read_signed(uris: Sequence[str], first_new: int = 0) -> Signed:
    """Everything but the minima, which are many bytes and needed for few documents."""
    tables, bands = [], []
    for table in _tables(uris, [*_SMALL_COLUMNS, "ngrams", "bands"]):
        column = table.column("bands").combine_chunks()
        bands.append(np.asarray(column.flatten()).reshape(len(column), -1))
        tables.append(table.drop_columns(["bands"]))
    return Signed(pa.concat_tables(tables), np.concatenate([rows for rows in bands if len(rows)]), first_new)


def exact_twins(text_low: Integers, text_high: Integers) -> Integers:
    """Per document the first of the same 128-bit hash: itself, or the one that stays in its layout."""
    # stable: equal texts stay in the order of their numbers
    return _first_of_group(np.lexsort((text_high, text_low)), text_low, text_high)


def near_roots(bands: Integers, active: Flags) -> tuple[Integers, int]:
    """Per document the smallest of its cluster, and the edges that joined them; only ``active`` ones meet."""
    parents = np.arange(len(bands), dtype=np.int64)
    nodes = np.flatnonzero(active)
    edges = 0
    for band in range(bands.shape[1]):
        keys = np.ascontiguousarray(bands[:, band])
        edges += join_buckets(parents, nodes[np.argsort(keys[nodes], kind="stable")], keys)
    settle(parents)
    return parents, edges


def meetings(
    bands: Integers, active: Flags, precedence: Integers, new: Flags, at_once: int = 1
) -> list[tuple[Integers, Integers]]:
    """For each band the pairs of an ``active`` document that does not lead its bucket, and one that does.

    The first leads, and with it the next of the base, ``at_once`` at most. Buckets without a ``new``
    document do not count: there is nothing to compare or to wait for.
    """
    nodes, met = np.flatnonzero(active), []
    for band in range(bands.shape[1]):
        keys = bands[nodes, band]
        order = np.lexsort((precedence[nodes], keys))
        order = order[np.isin(keys, keys[new[nodes]])[order]]
        members, (starts, bucket) = nodes[order], _groups(keys[order])
        rank = np.arange(len(members)) - starts[bucket]
        leads = (rank == 0) | (~new[members] & (rank < at_once))
        met.append(_led(members, starts, bucket, leads))
    return met


def _led(members: Integers, starts: Integers, bucket: Integers, leads: Flags) -> tuple[Integers, Integers]:
    """Each that does not lead beside each leader of its bucket; leaders come first among its ``members``."""
    number = np.bincount(bucket[leads], minlength=len(starts))
    others = np.flatnonzero(~leads)
    times = number[bucket[others]]
    of_leader = np.arange(times.sum()) - np.repeat(np.cumsum(times) - times, times)
    return np.repeat(members[others], times), members[np.repeat(starts[bucket[others]], times) + of_leader]


def turns(met: Sequence[tuple[Integers, Integers]], new: Flags) -> tuple[Integers, Integers]:
    """Of what meets, the pairs of a ``new`` document and one that leads each of its buckets."""
    stays = np.ones(len(new), np.bool_)
    for docs, _ in met:
        stays[docs] = False
    pairs = [np.stack([docs, leader])[:, new[docs] & stays[leader]] for docs, leader in met]
    docs, kept = np.unique(np.concatenate(pairs, axis=1), axis=1)
    return docs, kept


def _first_of_bucket(keys: Integers, nodes: Integers, precedence: Integers) -> Integers:
    """Per node the one of its key that goes before all others."""
    return nodes[_first_of_group(np.lexsort((precedence[nodes], keys)), keys)]


def _first_of_group(order: Integers, *keys: Integers) -> Integers:
    """Per position the first in ``order`` of those with equal keys, which stand side by side there."""
    starts, group = _groups(*(key[order] for key in keys))
    first = np.empty(len(order), np.int64)
    first[order] = order[starts[group]]
    return first


def _groups(*keys: Integers) -> tuple[Integers, Integers]:
    """Where each run of equal keys starts, and per position the number of its run."""
    begins = np.zeros(len(keys[0]), np.bool_)
    begins[:1] = True
    for key in keys:
        begins[1:] |= key[1:] != key[:-1]
    return np.flatnonzero(begins), np.cumsum(begins) - 1


def chosen(roots: Integers, precedence: Integers, new: Flags) -> Integers:
    """Per document the one of its cluster that goes first; a document that is not ``new`` stays."""
    positions = np.arange(len(roots))
    return np.where(new, _first_of_bucket(roots, positions, precedence), positions)


def similarities(uris: Sequence[str], docs: Integers, kept: Integers) -> npt.NDArray[np.float32]:
    """The share of equal minima of each pair: an unbiased estimate of the Jaccard similarity."""
    if not len(docs):
        return np.empty(0, np.float32)
    needed = np.unique(np.concatenate([docs, kept]))
    minima = None
    for table in _tables(uris, ["doc", "minhash"]):
        here = np.isin(np.asarray(table.column("doc")), needed)
        column = table.column("minhash").combine_chunks().filter(pa.array(here))
        if not len(column):
            continue
        rows = np.asarray(column.flatten()).reshape(len(column), -1)
        if minima is None:
            minima = np.empty((len(needed), rows.shape[1]), np.int32)
        minima[np.searchsorted(needed, np.asarray(table.column("doc"))[here])] = rows
    assert minima is not None
    left, right = np.searchsorted(needed, docs), np.searchsorted(needed, kept)
    shares = [
        (minima[left[i : i + _ROWS_AT_ONCE]] == minima[right[i : i + _ROWS_AT_ONCE]]).mean(axis=1)
        for i in range(0, len(docs), _ROWS_AT_ONCE)
    ]
    return np.concatenate(shares).astype(np.float32)


def held_out(signed: Signed, kept: Flags, recipe: HeldOutRecipe) -> Flags:
    """Which kept documents are held out, by the rule of ``spark_jobs.dedup.survivors.held_out``."""
    hashes, subsets = signed.column("id_hash"), signed.table.column("subset").combine_chunks()
    codes = np.asarray(subsets.dictionary_encode().indices)
    # by subset, then hash, then number; among the kept alone
    order = np.flatnonzero(kept)
    order = order[np.lexsort((order, hashes[order], codes[order]))]
    held = np.zeros(len(kept), np.bool_)
    for members in np.split(order, np.flatnonzero(np.diff(codes[order])) + 1):
        within = members[hashes[members] < int(recipe.share * 2**63)]
        if not len(within) and len(members) >= SUBSET_WITH_HELD_OUT:
            within = members[:1]
        held[within[: recipe.max_documents_per_subset]] = True
    smallest = order[np.lexsort((order, hashes[order]))]
    held[smallest[: min(recipe.min_documents, len(order) // 4)]] = True
    return held


def _decisions(
    docs: Integers, final: Integers, similarity: npt.NDArray[np.float32], stages: npt.NDArray[np.str_]
) -> pa.Table:
    """DECIDED_SCHEMA of every document; those that stay have no ``kept``."""
    stays = final == np.arange(len(final))
    columns = [
        pa.array(docs),
        pa.array(docs[final], mask=stays),
        pa.array(similarity, mask=stays),
        pa.array(stages, pa.string(), mask=stays),
    ]
    return pa.table(columns, schema=DECIDED_SCHEMA)


def _write(layout: VersionLayout, signed: Signed, table: pa.Table, told: Flags) -> None:
    """The rows ``told`` of each clean file into its folder; the base's come first and have none."""
    first_row = int((~signed.new).sum())
    keys = (signed.column("part") << 32) | signed.column("file")
    changes = first_row + 1 + np.flatnonzero(np.diff(keys[first_row:]))
    starts = np.concatenate([[first_row], changes, [len(keys)]])
    for start, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        rows = table.slice(start, end - start).filter(pa.array(told[start:end]))
        if not rows.num_rows:
            continue
        folder = file_folder(layout.decisions, int(keys[start] >> 32), int(keys[start] & 0xFFFFFFFF))
        with (
            STORE.publish(join(folder, "decisions.parquet")) as path,
            parquet_writer(path, DECIDED_SCHEMA) as writer,
        ):
            writer.write_table(rows)


def _tables(uris: Sequence[str], columns: Sequence[str]) -> Iterator[pa.Table]:
    for uri in uris:
        with STORE.local_copy(uri) as path:
            yield pq.read_table(path, columns=list(columns))
