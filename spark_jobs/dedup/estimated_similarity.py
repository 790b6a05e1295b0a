"""The similarity of near duplicates that were not verified, estimated from their MinHash signatures.

The share of equal minima is an unbiased estimate of the Jaccard similarity of the n-grams (Broder 1997).
``send_pairs``, ``send_minima`` and ``estimated`` are three steps of one exchange: each pair goes to the
partition of the kept document, and from there with its minima to the partition of the dropped one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spark_jobs.dedup.arrays import Integers, integers
from spark_jobs.dedup.decisions import DROPPED_SCHEMA
from spark_jobs.dedup.exact_duplicates import PAIR_SCHEMA
from spark_jobs.dedup.exchange import Inbox, Message, send
from spark_jobs.dedup.partitions import Partitions
from spark_jobs.runtime.columns import list_column, list_rows
from spark_jobs.runtime.tables import read_tables

_MINIMA_SCHEMA = pa.schema([("doc", pa.int64()), ("minhash", pa.list_(pa.int32()))])
_ROWS_AT_ONCE = 1 << 16

Minima = npt.NDArray[np.int32]


def send_pairs(partitions: Partitions, uris: Sequence[str], task: int, _: Inbox) -> Iterator[Message]:
    """Send the pairs of every n-th file to the partitions of their kept documents."""
    pairs = read_tables(uris[task :: partitions.count], PAIR_SCHEMA)
    yield from send("pairs", pairs, partitions.of(integers(pairs.column("kept"))))


def send_minima(partitions: Partitions, partition: int, inbox: Inbox) -> Iterator[Message]:
    """Send each pair, and the minima of the kept document, to the partition of the dropped document."""
    pairs = inbox.rows("pairs", PAIR_SCHEMA)
    docs, kept = (integers(pairs.column(name)) for name in PAIR_SCHEMA.names)
    targets = partitions.of(docs)
    yield from send("pairs", pairs, targets)
    found, minima = _minima(partitions, partition, np.unique(kept))
    for target in np.unique(targets).tolist():
        wanted = np.flatnonzero(np.isin(found, kept[targets == target]))
        for start in range(0, len(wanted), _ROWS_AT_ONCE):
            rows = wanted[start : start + _ROWS_AT_ONCE]
            columns = [found[rows], list_column(minima[rows])]
            yield Message(target, "minima", pa.table(columns, schema=_MINIMA_SCHEMA))


def estimated(partitions: Partitions, partition: int, inbox: Inbox) -> pa.Table:
    """Return the near duplicates of a partition as DROPPED_SCHEMA."""
    pairs = inbox.rows("pairs", PAIR_SCHEMA).sort_by("doc")
    docs, kept = (integers(pairs.column(name)) for name in PAIR_SCHEMA.names)
    received = inbox.rows("minima", _MINIMA_SCHEMA)
    others, minima = integers(received.column("doc")), list_rows(received.column("minhash"))
    order = np.argsort(others)
    of_kept = order[np.searchsorted(others, kept, sorter=order)]
    similarity = np.empty(len(docs), np.float32)
    for batch in partitions.signature_batches(partition, ["doc", "minhash"]) if len(docs) else ():
        found = np.isin(integers(batch.column("doc")), docs)
        if not found.any():
            continue
        here = np.searchsorted(docs, integers(batch.column("doc"))[found])
        own = list_rows(batch.column("minhash").filter(pa.array(found)))
        similarity[here] = equal_share(own, minima[of_kept[here]])
    return pa.table([docs, kept, similarity], schema=DROPPED_SCHEMA)


def equal_share(left: Minima, right: Minima) -> npt.NDArray[np.float64]:
    """Return for each row the share of positions at which both have the same minimum."""
    return np.asarray((left == right).mean(axis=1))


def _minima(partitions: Partitions, partition: int, wanted: Integers) -> tuple[Integers, Minima]:
    """Return those of the ``wanted`` documents that are in the partition, and a row of minima for each."""
    docs, rows = [np.empty(0, np.int64)], []
    for batch in partitions.signature_batches(partition, ["doc", "minhash"]) if len(wanted) else ():
        found = np.isin(integers(batch.column("doc")), wanted)
        docs.append(integers(batch.column("doc"))[found])
        rows.append(list_rows(batch.column("minhash").filter(pa.array(found))))
    return np.concatenate(docs), np.concatenate([r for r in rows if len(r)] or [np.empty((0, 1), np.int32)])
