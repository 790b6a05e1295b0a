"""Tasks of tokenise: documents to runs of tokens per subset, runs to Megatron shards."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.contracts.manifests import FileEntry, TokenShard
from include.contracts.records import content_hash
from spark_jobs import storage
from spark_jobs.corpus_version.layout import VersionLayout
from spark_jobs.kernels import hashing
from spark_jobs.runtime.columns import buffers, parquet_writer
from spark_jobs.tokens.engine import Engine, encode
from spark_jobs.tokens.megatron import index_bytes, token_dtype
from spark_jobs.tokens.tokenizer import LoadedTokenizer

SIDECAR_SCHEMA = pa.schema(
    [("id", pa.string()), ("token_offset", pa.int64()), ("tokens", pa.int32()), ("text_bytes", pa.int64())]
)

_RUN_SCHEMA = pa.schema([("id", pa.string()), ("tokens", pa.int32()), ("text_bytes", pa.int64())])
_BATCH_ROWS = 256


@dataclass(frozen=True)
class Run:
    """Neighbouring documents of one subset within one file of documents, no more tokens than a shard.

    ``row`` and ``token`` say where they begin in the work files ``name``.parquet and ``name``.bin.
    """

    name: str
    subset: str
    row: int
    documents: int
    token: int
    tokens: int
    text_bytes: int


@dataclass(frozen=True)
class ShardPlan:
    """The runs that make up one shard of ``folder``."""

    folder: str
    shard: TokenShard
    runs: tuple[Run, ...]


def sample_texts(layout: VersionLayout, share: float, name: str) -> list[tuple[int, str]]:
    """Hash and text of the documents of one file whose hash of the id falls within ``share``."""
    sampled: list[tuple[int, str]] = []
    with (
        storage.local_copy(storage.join(layout.documents, name)) as path,
        pq.ParquetFile(path) as file,
    ):
        for batch in file.iter_batches(batch_size=1024, columns=["id", "text"]):
            hashes = np.empty((batch.num_rows, 2), np.uint64)
            hashing.hash128(*buffers(batch.column("id")), hashes)
            # the low half decides what is held out; the high half is independent of it
            chosen = hashes[:, 1] <= np.uint64(min(share, 1.0) * (2**64 - 2048))
            texts = batch.column("text").filter(pa.array(chosen)).to_pylist()
            sampled.extend(zip(hashes[chosen, 1].tolist(), texts, strict=True))
    return sampled


def first_bytes(sampled: Iterable[tuple[int, str]], limit_bytes: int) -> list[str]:
    """Texts in the order of their hashes up to a total size; the last one is cut to fit."""
    texts: list[str] = []
    left = limit_bytes
    for _, text in sorted(sampled):
        size = len(text.encode())
        texts.append(text if size <= left else text.encode()[:left].decode(errors="ignore"))
        left -= size
        if left <= 0:
            break
    return texts


def tokenise_file(
    layout: VersionLayout, tokenizer: LoadedTokenizer, engine: Engine, shard_tokens: int, uri: str
) -> list[Run]:
    """Tokenise one file of documents into ``.bin`` and ``.parquet`` of its own, ordered by subset and id."""
    dtype = token_dtype(tokenizer.vocabulary_size)
    tokens: dict[str, list[np.ndarray[tuple[int, ...], np.dtype[np.generic]]]] = defaultdict(list)
    ids: dict[str, list[str]] = defaultdict(list)
    sizes: dict[str, list[int]] = defaultdict(list)
    with storage.local_copy(uri) as path, pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=["id", "text", "subset"]):
            texts = batch.column("text")
            subsets = batch.column("subset").to_pylist()
            text_bytes = pc.binary_length(texts).to_pylist()
            encoded = encode(tokenizer, engine, texts, dtype)
            for identifier, subset, size, sequence in zip(
                batch.column("id").to_pylist(), subsets, text_bytes, encoded, strict=True
            ):
                tokens[subset].append(sequence)
                ids[subset].append(identifier)
                sizes[subset].append(size)
    name = re.sub(r"\.parquet$", "", layout.relative(uri)).replace("/", "-")
    order = sorted(tokens)
    table = pa.table(
        [
            pa.array([identifier for subset in order for identifier in ids[subset]], pa.string()),
            pa.array([len(sequence) for subset in order for sequence in tokens[subset]], pa.int32()),
            pa.array([size for subset in order for size in sizes[subset]], pa.int64()),
        ],
        schema=_RUN_SCHEMA,
    )
    target = storage.join(layout.work_tokens, name)
    with storage.output_file(f"{target}.bin") as path, path.open("wb") as content:
        for subset in order:
            for sequence in tokens[subset]:
                content.write(sequence.tobytes())
    with storage.output_file(f"{target}.parquet") as path, parquet_writer(path, _RUN_SCHEMA) as writer:
        writer.write_table(table)
    runs: list[Run] = []
    row = token = 0
    for subset in order:
        lengths = [len(sequence) for sequence in tokens[subset]]
        for documents, count, text_size in _cut(lengths, sizes[subset], shard_tokens):
            runs.append(Run(name, subset, row, documents, token, count, text_size))
            row, token = row + documents, token + count
    return runs


def _cut(lengths: Sequence[int], sizes: Sequence[int], shard_tokens: int) -> list[tuple[int, int, int]]:
    """(documents, tokens, text bytes) of runs of at most ``shard_tokens``; a longer document is one alone."""
    runs: list[tuple[int, int, int]] = []
    documents = tokens = text_bytes = 0
    for length, size in zip(lengths, sizes, strict=True):
        if documents and tokens + length > shard_tokens:
            runs.append((documents, tokens, text_bytes))
            documents = tokens = text_bytes = 0
        documents, tokens, text_bytes = documents + 1, tokens + length, text_bytes + size
    return [*runs, (documents, tokens, text_bytes)]


def plan_shards(
    folder: str, runs: Sequence[Run], shard_tokens: int, taken: Sequence[TokenShard] = ()
) -> list[ShardPlan]:
    """Runs, in the order of ids, to shards ``<subset>-<number>`` of at most ``shard_tokens`` tokens.

    Numbers go on after the shards of the base, which are ``taken``.
    """
    known = {shard.subset: shard.name.rpartition("-")[0] for shard in taken}
    slugs = subset_slugs({run.subset for run in runs}, known)
    counts = Counter(shard.subset for shard in taken)
    plans: list[ShardPlan] = []
    for subset in sorted(slugs):
        groups: list[list[Run]] = []
        tokens = 0
        for run in (run for run in runs if run.subset == subset):
            if not groups or tokens + run.tokens > shard_tokens:
                groups.append([])
                tokens = 0
            groups[-1].append(run)
            tokens += run.tokens
        for number, group in enumerate(groups, counts[subset]):
            shard = TokenShard(
                f"{slugs[subset]}-{number:05d}",
                subset,
                sum(run.documents for run in group),
                sum(run.tokens for run in group),
            )
            plans.append(ShardPlan(folder, shard, tuple(group)))
    return plans


def subset_slugs(subsets: Collection[str], known: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
    """A name fit for files for each subset, distinct also where only signs or case differ.

    ``known`` subsets keep the names that they have.
    """
    slugs = {
        subset: re.sub(r"[^a-z0-9]+", "-", subset.lower()).strip("-")[:60] or "subset"
        for subset in subsets
        if subset not in known
    }
    taken = Counter([*slugs.values(), *known.values()])
    return {
        subset: slug if taken[slug] == 1 else f"{slug}-{content_hash(subset.encode())[:8]}"
        for subset, slug in slugs.items()
    } | {subset: known[subset] for subset in subsets if subset in known}


def write_shard(layout: VersionLayout, dtype: str, plan: ShardPlan) -> list[FileEntry]:
    """Write ``.bin``, ``.idx`` and ``.documents.parquet`` of one shard."""
    width = np.dtype(dtype).itemsize
    target = storage.join(plan.folder, plan.shard.name)
    entries: list[storage.Written] = []
    tables: list[pa.Table] = []
    with storage.output_file(f"{target}.bin") as path:
        with path.open("wb") as content:
            for run in plan.runs:
                work = storage.join(layout.work_tokens, run.name)
                content.write(storage.read_range(f"{work}.bin", run.token * width, run.tokens * width))
                with storage.local_copy(f"{work}.parquet") as rows:
                    tables.append(pq.read_table(rows, schema=_RUN_SCHEMA).slice(run.row, run.documents))
        entries.append(storage.written(f"{target}.bin", path))
    documents = pa.concat_tables(tables)
    lengths = documents.column("tokens").to_numpy()
    entries.append(storage.write_bytes(f"{target}.idx", index_bytes(lengths, dtype)))
    offsets = np.cumsum(lengths, dtype=np.int64) - lengths
    columns = [
        documents.column("id"),
        pa.array(offsets),
        documents.column("tokens"),
        documents.column("text_bytes"),
    ]
    with storage.output_file(f"{target}.documents.parquet") as path:
        with parquet_writer(path, SIDECAR_SCHEMA) as writer:
            writer.write_table(pa.table(columns, schema=SIDECAR_SCHEMA), row_group_size=1 << 16)
        entries.append(storage.written(f"{target}.documents.parquet", path))
    return [FileEntry(layout.relative(entry.uri), entry.size_bytes, entry.sha256) for entry in entries]
