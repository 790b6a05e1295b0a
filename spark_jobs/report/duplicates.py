"""The largest clusters of duplicates and the similarities of near duplicates, in memory of fixed size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from include.contracts.documents import Stage
from include.object_store import STORE
from spark_jobs.corpus_version.layout import VersionLayout
from spark_jobs.runtime.parquet import column_batches

SIMILARITY_BINS = 50

#: Clusters are first counted by hash in this many buckets (32 MB), then by id in the fullest of them.
_BUCKETS, _FULLEST = 1 << 22, 4096


@dataclass(frozen=True)
class Member:
    """A dropped document. ``similarity`` is exact if it was verified, otherwise the MinHash estimate."""

    id: str
    similarity: float
    stage: str


@dataclass(frozen=True)
class Cluster:
    """The documents that were dropped as duplicates of one kept document."""

    kept_id: str
    dropped: int
    most_similar: Member
    least_similar: Member


@dataclass(frozen=True)
class Duplicates:
    """The duplicates of a version. ``similarities`` counts near ones in SIMILARITY_BINS bins from 0 to 1.

    ``unlike`` counts the near ones that are less similar to the kept document than the caller asked for.
    """

    exact: int
    near: int
    unlike: int
    clusters: tuple[Cluster, ...]
    similarities: npt.NDArray[np.int64]


def duplicates(layout: VersionLayout, similarity: float = 0.0, largest: int = 10) -> Duplicates:
    """Summarise ``duplicates/``. It is read three times, since it may be larger than memory.

    Near duplicates below ``similarity`` count as ``unlike``.
    """
    uris = STORE.uris(layout.duplicates)
    stages = Counter[str]()
    unlike = 0
    similarities = np.zeros(SIMILARITY_BINS, np.int64)
    for batch in column_batches(uris, ["similarity", "stage"]):
        near = pc.equal(batch.column("stage"), Stage.NEAR_DEDUP.value)
        values = batch.column("similarity").filter(near).to_numpy(zero_copy_only=False)
        similarities += np.histogram(values, SIMILARITY_BINS, (0.0, 1.0))[0]
        unlike += int((values < similarity).sum())
        stages.update({Stage.NEAR_DEDUP: len(values), Stage.EXACT_DEDUP: batch.num_rows - len(values)})
    sizes = _largest(uris, largest)
    clusters = _with_members(uris, sizes)
    exact, near = stages[Stage.EXACT_DEDUP], stages[Stage.NEAR_DEDUP]
    return Duplicates(exact, near, unlike, clusters, similarities)


def _largest(uris: Sequence[str], largest: int, buckets: int = _BUCKETS) -> dict[str, int]:
    """Return the ids of the kept documents of the largest clusters with their sizes, the largest first.

    A bucket is at least as full as its largest cluster. So a cluster that is larger than every bucket outside
    the fullest ones is always found.
    """
    totals = np.zeros(buckets, np.int64)
    for batch in column_batches(uris, ["kept_id"]):
        counted = batch.column("kept_id").value_counts()
        np.add.at(totals, _bucket_of(counted.field("values"), buckets), counted.field("counts").to_numpy())
    fullest = np.argsort(-totals, kind="stable")[:_FULLEST]
    is_full = np.zeros(buckets, np.bool_)
    is_full[fullest] = True
    sizes = Counter[str]()
    for batch in column_batches(uris, ["kept_id"]):
        counted = batch.column("kept_id").value_counts()
        full = counted.filter(pa.array(is_full[_bucket_of(counted.field("values"), buckets)]))
        for pair in full.to_pylist():
            sizes[pair["values"]] += pair["counts"]
    return dict(sorted(sizes.items(), key=lambda item: (-item[1], item[0]))[:largest])


def _bucket_of(ids: pa.StringArray, buckets: int) -> npt.NDArray[np.int64]:
    return np.fromiter((crc32(one.encode()) for one in ids.to_pylist()), np.int64, len(ids)) % buckets


def _with_members(uris: Sequence[str], sizes: dict[str, int]) -> tuple[Cluster, ...]:
    most: dict[str, Member] = {}
    least: dict[str, Member] = {}
    wanted = pa.array(list(sizes), pa.string())
    for batch in column_batches(uris, ["id", "kept_id", "similarity", "stage"]):
        for row in batch.filter(pc.is_in(batch.column("kept_id"), wanted)).to_pylist():
            member = Member(row["id"], row["similarity"], row["stage"])
            kept = row["kept_id"]
            if kept not in most or member.similarity > most[kept].similarity:
                most[kept] = member
            # the last one of equal similarity, so that two members are shown if all are equally similar
            if kept not in least or member.similarity <= least[kept].similarity:
                least[kept] = member
    return tuple(Cluster(kept, size, most[kept], least[kept]) for kept, size in sizes.items())
