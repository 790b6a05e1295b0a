"""A task of clean: read its shards, clean them, and write documents and signatures to its own files."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from include.contracts.documents import DOCUMENT_COLUMNS
from include.object_store import STORE
from include.object_store.locations import join
from include.recipes.corpus import CorpusRecipe
from spark_jobs.cleaning.chain import ChainCounts, apply_chain
from spark_jobs.corpus_version.layout import VersionLayout
from spark_jobs.dedup.signatures import SIGNATURE_SCHEMA, compute_signatures
from spark_jobs.readers.counts import ReadCounts
from spark_jobs.readers.documents import read_documents
from spark_jobs.readers.shards import ROW_BITS, NumberedShard
from spark_jobs.readers.subsets import require_few_subsets
from spark_jobs.runtime.columns import parquet_writer

#: A clean file is closed once it holds this much text, because one later task reads all of it.
FILE_TEXT_BYTES = 128 * 2**20

CLEAN_SCHEMA = pa.schema([("doc", pa.int64()), *((name, pa.string()) for name in DOCUMENT_COLUMNS)])


@dataclass(frozen=True)
class CleanFile:
    """A file of work/clean, and of work/signatures under the same name."""

    name: str
    part: int
    file: int
    documents: int
    text_bytes: int


@dataclass
class ShardCounts:
    """The counts of one shard: documents kept and dropped by reading and by each stage of the chain."""

    name: str
    read: ReadCounts = field(default_factory=ReadCounts)
    documents_read: int = 0
    chain: ChainCounts = field(default_factory=ChainCounts)


@dataclass(frozen=True)
class CleanTask:
    """A group of neighbouring shards and where their documents go."""

    part: int
    shards: tuple[NumberedShard, ...]
    layout: VersionLayout
    recipe: CorpusRecipe


@dataclass(frozen=True)
class CleanPart:
    """The result of a task: counts by shard, files, duration, and the subsets of its documents, sorted."""

    outcomes: list[ShardCounts]
    files: list[CleanFile]
    seconds: float
    subsets: list[str] = field(default_factory=list)


def clean_part(task: CleanTask) -> CleanPart:
    """Write the task's files ``part-<part>-<file>.parquet``. Return their contents and the drops."""
    started = time.monotonic()
    outcomes: list[ShardCounts] = []
    files: list[CleanFile] = []
    subsets: set[str] = set()
    batches = _task_batches(task, outcomes, subsets)
    batch = next(batches, None)
    while batch is not None:
        name = f"part-{task.part:05d}-{len(files):03d}.parquet"
        documents = text_bytes = 0
        with ExitStack() as stack:
            clean, signatures = (
                stack.enter_context(parquet_writer(stack.enter_context(STORE.publish(uri)), schema))
                for uri, schema in (
                    (join(task.layout.clean, name), CLEAN_SCHEMA),
                    (join(task.layout.signatures, name), SIGNATURE_SCHEMA),
                )
            )
            while batch is not None and text_bytes < FILE_TEXT_BYTES:
                clean.write_batch(batch.select(CLEAN_SCHEMA.names))
                signatures.write_batch(
                    compute_signatures(batch, task.part, len(files), task.recipe.near_dedup)
                )
                documents += batch.num_rows
                text_bytes += pc.sum(pc.binary_length(batch.column("text"))).as_py()
                batch = next(batches, None)
        files.append(CleanFile(name, task.part, len(files), documents, text_bytes))
    return CleanPart(outcomes, files, time.monotonic() - started, sorted(subsets))


def _task_batches(
    task: CleanTask, outcomes: list[ShardCounts], subsets: set[str]
) -> Iterator[pa.RecordBatch]:
    for shard in task.shards:
        outcome = ShardCounts(shard.name)
        outcomes.append(outcome)
        for read in read_documents(shard, task.recipe.read, outcome.read):
            outcome.documents_read += read.num_rows
            clean = apply_chain(read, task.recipe, outcome.chain)
            if clean.num_rows:
                subsets.update(pc.unique(clean.column("subset")).to_pylist())
                require_few_subsets(subsets, task.recipe.read)
                yield _identified(clean, shard)


def _identified(batch: pa.RecordBatch, shard: NumberedShard) -> pa.RecordBatch:
    """Return the batch with its documents' numbers and ids."""
    rows = batch.column("row")
    ids = pc.binary_join_element_wise(
        shard.name, pc.utf8_lpad(rows.cast(pa.string()), width=9, padding="0"), "/"
    )
    docs = pa.array(rows.to_numpy() + (shard.index << ROW_BITS))
    return batch.append_column("doc", docs).append_column("id", ids)
