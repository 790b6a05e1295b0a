"""Writes the documents, held-out documents and duplicates of one clean file."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.contracts.documents import DOCUMENT_COLUMNS
from include.contracts.manifests import FileEntry
from include.object_store import STORE
from include.object_store.locations import join
from include.object_store.verification import file_entry
from spark_jobs.cleaning.task import CleanFile
from spark_jobs.corpus_version.layout import VersionLayout
from spark_jobs.dedup.decisions import read_decisions
from spark_jobs.dedup.signatures import SIGNATURE_SCHEMA
from spark_jobs.readers.shards import document_ids
from spark_jobs.runtime.columns import parquet_writer

DOCUMENTS_SCHEMA = pa.schema([(name, pa.string()) for name in DOCUMENT_COLUMNS])
DUPLICATES_SCHEMA = pa.schema(
    [("id", pa.string()), ("kept_id", pa.string()), ("similarity", pa.float32()), ("stage", pa.string())]
)

_ROWS = 1024
_DOCUMENTS, _HELD_OUT, _DUPLICATES = range(3)


@dataclass(frozen=True)
class OutputPart:
    """The output of one clean file: its files and counts.

    ``text_bytes`` counts the documents that are neither dropped nor held out.
    """

    position: int
    files: tuple[FileEntry, ...]
    documents: int
    held_out: int
    duplicates: int
    text_bytes: int


def write_output(
    layout: VersionLayout, shard_names: Sequence[str], item: tuple[int, CleanFile]
) -> OutputPart:
    """Write ``part-<position>.parquet`` of each kind of output that has rows.

    Ids ascend within and across files. The signatures of all documents that are not dropped go to ``index/``.
    """
    position, file = item
    decisions = read_decisions(layout, file.part, file.file)
    rows, text_bytes = [0, 0, 0], [0, 0]
    kinds = ((layout.documents, DOCUMENTS_SCHEMA), (layout.held_out, DOCUMENTS_SCHEMA))
    entries: list[FileEntry] = []
    with ExitStack() as stack:
        source = stack.enter_context(STORE.local_copy(join(layout.clean, file.name)))
        clean = stack.enter_context(pq.ParquetFile(source))
        sinks = [_Sink(layout, folder, position, schema) for folder, schema in kinds]
        for sink in sinks:
            stack.push(sink.leave)
        duplicates = _Sink(layout, layout.duplicates, position, DUPLICATES_SCHEMA)
        stack.push(duplicates.leave)
        for batch in clean.iter_batches(batch_size=_ROWS, columns=["doc", *DOCUMENT_COLUMNS]):
            fate = _fates(batch.column("doc"), decisions)
            for kind in (_DOCUMENTS, _HELD_OUT):
                mine = batch.filter(pa.array(fate == kind))
                rows[kind] += mine.num_rows
                text_bytes[kind] += pc.sum(pc.binary_length(mine.column("text"))).as_py() or 0
                sinks[kind].write(mine.select(list(DOCUMENT_COLUMNS)))
        if decisions.num_rows:
            table = _duplicates(decisions, shard_names)
            rows[_DUPLICATES] = table.num_rows
            for chunk in table.to_batches(max_chunksize=1 << 16):
                duplicates.write(chunk)
        for sink in (*sinks, duplicates):
            entries.extend(sink.finish())
        entries.extend(_index(layout, file, decisions, position))
    return OutputPart(
        position,
        tuple(entries),
        documents=rows[_DOCUMENTS],
        held_out=rows[_HELD_OUT],
        duplicates=rows[_DUPLICATES],
        text_bytes=text_bytes[_DOCUMENTS],
    )


def _index(layout: VersionLayout, file: CleanFile, decisions: pa.Table, position: int) -> list[FileEntry]:
    dropped = decisions.filter(pc.is_valid(decisions.column("kept"))).column("doc").combine_chunks()
    sink = _Sink(layout, layout.index, position, SIGNATURE_SCHEMA)
    with (
        STORE.local_copy(join(layout.signatures, file.name)) as source,
        pq.ParquetFile(source) as signatures,
    ):
        for batch in signatures.iter_batches():
            sink.write(batch.filter(pc.invert(pc.is_in(batch.column("doc"), value_set=dropped))))
    return sink.finish()


class _Sink:
    """A writer of ``part-<position>.parquet`` in a folder. The file is created with its first rows."""

    def __init__(self, layout: VersionLayout, folder: str, position: int, schema: pa.Schema) -> None:
        self._layout, self._schema = layout, schema
        self._uri = join(folder, f"part-{position:05d}.parquet")
        self._stack = ExitStack()
        self._writer: pq.ParquetWriter | None = None
        self._path: Path | None = None

    def write(self, batch: pa.RecordBatch) -> None:
        if not batch.num_rows:
            return
        if self._writer is None:
            path = self._path = self._stack.enter_context(STORE.publish(self._uri))
            self._writer = self._stack.enter_context(parquet_writer(path, self._schema))
        self._writer.write_batch(batch.cast(self._schema))

    def finish(self) -> list[FileEntry]:
        if self._writer is None or self._path is None:
            return []
        self._writer.close()
        entry = file_entry(self._path, self._layout.relative(self._uri))
        self._stack.close()
        return [entry]

    def leave(self, *error: object) -> None:
        """Discard the incomplete file if the task fails."""
        self._stack.__exit__(*error)  # type: ignore[arg-type]


def _fates(docs: pa.Int64Array, decisions: pa.Table) -> np.ndarray[tuple[int], np.dtype[np.int8]]:
    """Return the kind of output of each document: _DOCUMENTS, _HELD_OUT or _DUPLICATES."""
    fate = np.zeros(len(docs), np.int8)
    if decisions.num_rows:
        decided_docs = decisions.column("doc").to_numpy()
        kinds = np.where(decisions.column("kept").is_null().to_numpy(), _HELD_OUT, _DUPLICATES)
        positions = np.searchsorted(decided_docs, docs.to_numpy())
        positions[positions == len(decided_docs)] = 0
        hit = decided_docs[positions] == docs.to_numpy()
        fate[hit] = kinds[positions[hit]]
    return fate


def _duplicates(decisions: pa.Table, shard_names: Sequence[str]) -> pa.Table:
    dropped = decisions.filter(pc.is_valid(decisions.column("kept")))

    def ids(column: str) -> pa.Array:
        return pa.array(document_ids(shard_names, dropped.column(column).to_pylist()), pa.string())

    columns = [ids("doc"), ids("kept"), dropped.column("similarity"), dropped.column("stage")]
    return pa.table(columns, names=DUPLICATES_SCHEMA.names).cast(DUPLICATES_SCHEMA)
