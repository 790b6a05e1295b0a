"""Exact duplicates: documents whose normalised text has the same 128-bit hash. The smallest number stays.

``send_texts``, ``compare_texts`` and ``save_exact_duplicates`` are three steps of one exchange. A text that
occurs a million times in a partition is sent once.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from spark_jobs.dedup.arrays import Integers, first_of_equal, integers, look_up
from spark_jobs.dedup.exchange import Inbox, Message, send
from spark_jobs.dedup.partitions import Partitions

#: A dropped document and the one that is kept instead.
PAIR_SCHEMA = pa.schema([("doc", pa.int64()), ("kept", pa.int64())])

_FOLDER = "exact"
_COLUMNS = ["doc", "text_low", "text_high"]
_TEXT_SCHEMA = pa.schema([(name, pa.int64()) for name in _COLUMNS])


def first_of_equal_texts(texts: pa.Table) -> Integers:
    """Return for each row (doc, text_low, text_high) the smallest document with the same text."""
    docs, low, high = (integers(texts.column(name)) for name in _COLUMNS)
    return docs[first_of_equal(np.lexsort((docs, high, low)), low, high)]


def send_texts(partitions: Partitions, partition: int, _: Inbox) -> Iterator[Message]:
    """Send the first document of each text to the task that compares this text between partitions."""
    if partitions.count == 1:
        return
    texts = partitions.signatures(partition, _COLUMNS)
    firsts = texts.filter(pa.array(first_of_equal_texts(texts) == integers(texts.column("doc"))))
    yield from send("texts", firsts, integers(firsts.column("text_low")) % partitions.count)


def compare_texts(partitions: Partitions, _: int, inbox: Inbox) -> Iterator[Message]:
    """Send the pairs (doc, kept) of documents whose text occurs earlier to the partitions of doc."""
    texts = inbox.rows("texts", _TEXT_SCHEMA)
    docs, first = integers(texts.column("doc")), first_of_equal_texts(texts)
    repeated = docs != first
    if repeated.any():
        pairs = pa.table([docs[repeated], first[repeated]], schema=PAIR_SCHEMA)
        yield from send("repeated", pairs, partitions.of(docs[repeated]))


def save_exact_duplicates(partitions: Partitions, partition: int, inbox: Inbox) -> int:
    """Save the exact duplicates (doc, kept) of a partition. Return their number."""
    texts = partitions.signatures(partition, _COLUMNS)
    docs, kept = integers(texts.column("doc")), first_of_equal_texts(texts)
    elsewhere = inbox.rows("repeated", PAIR_SCHEMA)
    found, row = look_up(kept, integers(elsewhere.column("doc")))
    kept[found] = integers(elsewhere.column("kept"))[row]
    dropped = docs != kept
    pairs = pa.table([docs[dropped], kept[dropped]], schema=PAIR_SCHEMA)
    partitions.save(_FOLDER, partition, pairs)
    return len(pairs)


def exact_duplicates(partitions: Partitions, partition: int) -> pa.Table:
    """Return the saved exact duplicates (doc, kept) of a partition."""
    return partitions.saved(_FOLDER, partition, PAIR_SCHEMA)
