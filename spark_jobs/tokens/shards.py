"""Plan token shards out of segments of documents, and write them: tokens, Megatron index and sidecar."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from include.contracts.manifests import FileEntry, TokenShard
from include.contracts.records import content_hash
from include.object_store import STORE
from include.object_store.locations import join
from include.object_store.verification import content_entry, file_entry
from spark_jobs.corpus_version.layout import VersionLayout
from spark_jobs.runtime.columns import parquet_writer
from spark_jobs.tokens.file_task import SEGMENT_SCHEMA, Segment
from spark_jobs.tokens.megatron import index_bytes

SIDECAR_SCHEMA = pa.schema(
    [("id", pa.string()), ("token_offset", pa.int64()), ("tokens", pa.int32()), ("text_bytes", pa.int64())]
)


@dataclass(frozen=True)
class ShardPlan:
    """One shard of ``folder``, and the segments that it is made of."""

    folder: str
    shard: TokenShard
    segments: tuple[Segment, ...]


def count_documents(plans: Sequence[ShardPlan]) -> int:
    """Return the number of documents of all shards."""
    return sum(plan.shard.documents for plan in plans)


def count_tokens(plans: Sequence[ShardPlan]) -> int:
    """Return the number of tokens of all shards."""
    return sum(plan.shard.tokens for plan in plans)


def plan_shards(
    folder: str, segments: Sequence[Segment], shard_tokens: int, taken: Sequence[TokenShard] = ()
) -> list[ShardPlan]:
    """Group segments, in the order of ids, into shards ``<subset>-<number>`` up to ``shard_tokens`` tokens.

    Numbers follow those of ``taken``, the shards of the base.
    """
    known = {shard.subset: shard.name.rpartition("-")[0] for shard in taken}
    slugs = subset_slugs({segment.subset for segment in segments}, known)
    counts = Counter(shard.subset for shard in taken)
    plans: list[ShardPlan] = []
    for subset in sorted(slugs):
        groups: list[list[Segment]] = []
        tokens = 0
        for segment in (segment for segment in segments if segment.subset == subset):
            if not groups or tokens + segment.tokens > shard_tokens:
                groups.append([])
                tokens = 0
            groups[-1].append(segment)
            tokens += segment.tokens
        for number, group in enumerate(groups, counts[subset]):
            shard = TokenShard(
                f"{slugs[subset]}-{number:05d}",
                subset,
                sum(segment.documents for segment in group),
                sum(segment.tokens for segment in group),
            )
            plans.append(ShardPlan(folder, shard, tuple(group)))
    return plans


def subset_slugs(subsets: Collection[str], known: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
    """Return a file name for each subset; names differ also for subsets that differ only in signs or case.

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
    target = join(plan.folder, plan.shard.name)
    entries: list[FileEntry] = []
    tables: list[pa.Table] = []
    with STORE.publish(f"{target}.bin") as path:
        with path.open("wb") as content:
            for segment in plan.segments:
                work = join(layout.work_tokens, segment.name)
                content.write(STORE.read_range(f"{work}.bin", segment.token * width, segment.tokens * width))
                with STORE.local_copy(f"{work}.parquet") as rows:
                    tables.append(
                        pq.read_table(rows, schema=SEGMENT_SCHEMA).slice(segment.row, segment.documents)
                    )
        entries.append(file_entry(path, layout.relative(f"{target}.bin")))
    documents = pa.concat_tables(tables)
    lengths = documents.column("tokens").to_numpy()
    index = index_bytes(lengths, dtype)
    STORE.write(f"{target}.idx", index)
    entries.append(content_entry(index, layout.relative(f"{target}.idx")))
    offsets = np.cumsum(lengths, dtype=np.int64) - lengths
    columns = [
        documents.column("id"),
        pa.array(offsets),
        documents.column("tokens"),
        documents.column("text_bytes"),
    ]
    with STORE.publish(f"{target}.documents.parquet") as path:
        with parquet_writer(path, SIDECAR_SCHEMA) as writer:
            writer.write_table(pa.table(columns, schema=SIDECAR_SCHEMA), row_group_size=1 << 16)
        entries.append(file_entry(path, layout.relative(f"{target}.documents.parquet")))
    return entries
