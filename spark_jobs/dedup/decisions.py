"""The decisions on documents that are dropped or held out, saved for each clean file.

``settle``, ``save_dropped``, ``held_out.choose_held_out`` and ``save_held_out`` are the last steps of a
decision. If the first document with a text is dropped, its exact duplicates are dropped for the same kept
document.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from include.contracts.documents import Stage
from include.object_store import STORE
from include.object_store.locations import join
from spark_jobs.corpus_version.layout import VersionLayout
from spark_jobs.dedup.arrays import integers, look_up, runs
from spark_jobs.dedup.exact_duplicates import PAIR_SCHEMA, exact_duplicates
from spark_jobs.dedup.exchange import Inbox, Message, send
from spark_jobs.dedup.held_out import CANDIDATE_SCHEMA, received_held_out, send_candidates
from spark_jobs.dedup.partitions import Partitions
from spark_jobs.runtime.columns import parquet_writer
from spark_jobs.runtime.tables import read_tables

#: A document that is dropped or held out; ``kept`` is null if it is held out.
DECISION_SCHEMA = pa.schema(
    [("doc", pa.int64()), ("kept", pa.int64()), ("similarity", pa.float32()), ("stage", pa.string())]
)
#: A dropped document, the one that is kept instead, and their similarity.
DROPPED_SCHEMA = pa.schema([DECISION_SCHEMA.field(name) for name in ("doc", "kept", "similarity")])


def send_copies(partitions: Partitions, partition: int, _: Inbox) -> Iterator[Message]:
    """Send the exact duplicates of a partition to the partitions of the first documents with their texts."""
    copies = exact_duplicates(partitions, partition)
    yield from send("copies", copies, partitions.of(integers(copies.column("kept"))))


def settle(partitions: Partitions, partition: int, near: pa.Table, inbox: Inbox) -> Iterator[Message]:
    """Send each exact duplicate to its partition, with the document that is kept instead.

    ``near`` holds the near duplicates of the partition (DROPPED_SCHEMA). If the first document with a text is
    one of them, its copies are dropped for the same kept document.
    """
    yield Message(partition, "near", near)
    copies = inbox.rows("copies", PAIR_SCHEMA)
    docs, kept = (integers(copies.column(name)) for name in PAIR_SCHEMA.names)
    found, row = look_up(kept, integers(near.column("doc")))
    kept, similarity = kept.copy(), np.ones(len(docs), np.float32)
    kept[found] = integers(near.column("kept"))[row]
    similarity[found] = np.asarray(near.column("similarity"))[row]
    rows = pa.table([docs, kept, similarity], schema=DROPPED_SCHEMA)
    yield from send("exact", rows, partitions.of(docs))


def save_dropped(partitions: Partitions, partition: int, inbox: Inbox) -> Iterator[Message]:
    """Save the dropped documents of a partition. Send the others as candidates to be held out."""
    documents = _new_documents(partitions, partition, ["doc", "part", "file", "subset", "id_hash"])
    near, exact = inbox.rows("near", DROPPED_SCHEMA), inbox.rows("exact", DROPPED_SCHEMA)
    stages = np.repeat([Stage.NEAR_DEDUP.value, Stage.EXACT_DEDUP.value], [near.num_rows, exact.num_rows])
    dropped = pa.concat_tables([near, exact]).append_column(DECISION_SCHEMA.field("stage"), pa.array(stages))
    _save_by_file(partitions, documents, dropped.sort_by("doc"), "dropped")
    is_kept = ~np.isin(integers(documents.column("doc")), integers(dropped.column("doc")))
    kept = documents.filter(pa.array(is_kept)).select(CANDIDATE_SCHEMA.names)
    yield from send_candidates(kept, partitions.recipe.held_out)


def save_held_out(partitions: Partitions, partition: int, inbox: Inbox) -> int:
    """Save which documents of a partition are held out.

    Returns how many documents of this version have no n-grams, so that near dedup compares them with none.
    """
    held_out = pa.table({"doc": np.sort(received_held_out(inbox))})
    for name in ("kept", "similarity", "stage"):
        field = DECISION_SCHEMA.field(name)
        held_out = held_out.append_column(field, pa.nulls(held_out.num_rows, field.type))
    documents = _new_documents(partitions, partition, ["doc", "part", "file", "ngrams"])
    _save_by_file(partitions, documents, held_out, "held_out")
    return int(np.count_nonzero(integers(documents.column("ngrams")) == 0))


def read_decisions(layout: VersionLayout, part: int, file: int) -> pa.Table:
    """Return the decisions on one clean file as DECISION_SCHEMA, ordered by document."""
    return read_tables(STORE.uris(_file_folder(layout, part, file)), DECISION_SCHEMA).sort_by("doc")


def _new_documents(partitions: Partitions, partition: int, columns: list[str]) -> pa.Table:
    """Read the documents of a partition that are new in this version."""
    documents = partitions.signatures(partition, columns)
    return documents.filter(pa.array(integers(documents.column("doc")) >= partitions.first_new))


def _save_by_file(partitions: Partitions, documents: pa.Table, decisions: pa.Table, name: str) -> None:
    """Write the decisions on each clean file to its folder. ``decisions`` must be ordered by document."""
    docs, decided = integers(documents.column("doc")), integers(decisions.column("doc"))
    parts, files = integers(documents.column("part")), integers(documents.column("file"))
    starts, _ = runs(parts, files)
    bounds = np.searchsorted(decided, np.append(docs[starts], np.iinfo(np.int64).max))
    for start, first, end in zip(starts, bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        if first == end:
            continue
        folder = _file_folder(partitions.layout, int(parts[start]), int(files[start]))
        with (
            STORE.publish(join(folder, f"{name}.parquet")) as path,
            parquet_writer(path, DECISION_SCHEMA) as writer,
        ):
            writer.write_table(decisions.slice(first, end - first).cast(DECISION_SCHEMA))


def _file_folder(layout: VersionLayout, part: int, file: int) -> str:
    return join(layout.decisions, f"part={part}", f"file={file}")
