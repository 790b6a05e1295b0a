"""One task of clean: its shards read, normalised and filtered into parquet files of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.recipes.corpus import CorpusRecipe
from spark_jobs import storage
from spark_jobs.kernels import hashing
from spark_jobs.readers.documents import ReadCounts, read_documents
from spark_jobs.readers.shards import ROW_BITS, Shard
from spark_jobs.transforms.columns import buffers, parquet_writer
from spark_jobs.transforms.normalise import normalise
from spark_jobs.transforms.quality import keep_good

#: A clean file is closed once it holds this much text: what one later task has to read.
FILE_TEXT_BYTES = 128 * 2**20

CLEAN_SCHEMA = pa.schema(
    [
        ("doc", pa.int64()),  # shard index and row, ascending like id
        ("part", pa.int32()),  # the group of shards ...
        ("file", pa.int32()),  # ... and the number of the file within it
        ("characters", pa.int64()),
        ("text_low", pa.int64()),  # 128-bit hash of the normalised text
        ("text_high", pa.int64()),
        ("id_hash", pa.int64()),  # 63 bits, decides what is held out
        ("id", pa.string()),
        ("text", pa.string()),
        ("source", pa.string()),
        ("subset", pa.string()),
        ("metadata", pa.string()),
    ]
)


#: The columns of CLEAN_SCHEMA that Spark reads.
CLEAN_COLUMNS = (
    "doc bigint, part int, file int, characters bigint, text_low bigint, text_high bigint, "
    "id_hash bigint, subset string"
)


@dataclass(frozen=True)
class CleanFile:
    """A file of work/clean."""

    name: str
    part: int
    file: int
    documents: int
    text_bytes: int


@dataclass
class ShardOutcome:
    """Counts of one shard through read, normalise and filter: what each passed on, and what it dropped."""

    name: str
    read: ReadCounts = field(default_factory=ReadCounts)
    documents_read: int = 0
    normalise: Counter[str] = field(default_factory=Counter)
    documents_normalised: int = 0
    filter: Counter[str] = field(default_factory=Counter)
    kept: int = 0


@dataclass(frozen=True)
class CleanTask:
    """A group of neighbouring shards and where their documents go."""

    part: int
    shards: tuple[Shard, ...]
    folder: str
    recipe: CorpusRecipe


def clean_part(task: CleanTask) -> tuple[list[ShardOutcome], list[CleanFile]]:
    """Write the task's files ``part-<part>-<file>.parquet`` and say what is in them and what was dropped."""
    outcomes: list[ShardOutcome] = []
    files: list[CleanFile] = []
    batches = _task_batches(task, outcomes)
    batch = next(batches, None)
    while batch is not None:
        name = f"part-{task.part:05d}-{len(files):03d}.parquet"
        documents = text_bytes = 0
        with ExitStack() as stack:
            path = stack.enter_context(storage.output_file(storage.join(task.folder, name)))
            writer = stack.enter_context(parquet_writer(path, CLEAN_SCHEMA))
            while batch is not None and text_bytes < FILE_TEXT_BYTES:
                writer.write_batch(_with_place(batch, task.part, len(files)))
                documents += batch.num_rows
                text_bytes += pc.sum(pc.binary_length(batch.column("text"))).as_py()
                batch = next(batches, None)
        files.append(CleanFile(name, task.part, len(files), documents, text_bytes))
    return outcomes, files


def _task_batches(task: CleanTask, outcomes: list[ShardOutcome]) -> Iterator[pa.RecordBatch]:
    for shard in task.shards:
        outcome = ShardOutcome(shard.name)
        outcomes.append(outcome)
        for read in read_documents(shard, task.recipe.read, outcome.read):
            normal = normalise(read, task.recipe.normalise, outcome.normalise)
            good = keep_good(normal, task.recipe.filter, outcome.filter)
            outcome.documents_read += read.num_rows
            outcome.documents_normalised += normal.num_rows
            outcome.kept += good.num_rows
            if good.num_rows:
                yield _identified(good, shard)


def _identified(batch: pa.RecordBatch, shard: Shard) -> pa.RecordBatch:
    """Document numbers, ids and hashes."""
    rows = batch.column("row")
    ids = pc.binary_join_element_wise(
        shard.name, pc.utf8_lpad(rows.cast(pa.string()), width=9, padding="0"), "/"
    )
    low_high = np.empty((batch.num_rows, 2), np.uint64)
    hashing.hash128(*buffers(batch.column("text")), low_high)
    id_hash = np.empty((batch.num_rows, 2), np.uint64)
    hashing.hash128(*buffers(ids), id_hash)
    columns: dict[str, Any] = {
        "doc": pa.array(rows.to_numpy() + (shard.index << ROW_BITS)),
        "text_low": pa.array(low_high[:, 0].view(np.int64)),
        "text_high": pa.array(low_high[:, 1].view(np.int64)),
        "id_hash": pa.array((id_hash[:, 0] >> np.uint64(1)).astype(np.int64)),
        "id": ids,
    }
    for name in ("characters", "text", "source", "subset", "metadata"):
        columns[name] = batch.column(name)
    return pa.RecordBatch.from_pydict(columns)


def _with_place(batch: pa.RecordBatch, part: int, file: int) -> pa.RecordBatch:
    rows = batch.num_rows
    columns = {name: batch.column(name) for name in batch.schema.names}
    columns["part"] = pa.array(np.full(rows, part, np.int32))
    columns["file"] = pa.array(np.full(rows, file, np.int32))
    return pa.RecordBatch.from_arrays([columns[name] for name in CLEAN_SCHEMA.names], schema=CLEAN_SCHEMA)
