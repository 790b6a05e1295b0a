"""The task of an export: write one token shard as files of another format, within a size limit."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from include.contracts.manifests import FileEntry
from include.object_store import STORE
from include.object_store.locations import join
from include.object_store.verification import file_entry
from spark_jobs.tokens.mds import MdsLayout
from spark_jobs.tokens.parquet import ParquetLayout
from spark_jobs.tokens.sequences import Sequences, ShardFiles, open_shard


class Format(enum.StrEnum):
    """Formats that tokens can be exported to."""

    MDS = "mds"
    PARQUET = "parquet"


class Split(enum.StrEnum):
    """The token folders of a corpus version, and of its export."""

    TRAINING = "tokens"
    HELD_OUT = "held_out_tokens"


class Layout(Protocol):
    """A format of files that each hold neighbouring documents."""

    @property
    def suffix(self) -> str: ...

    @property
    def overhead_bytes(self) -> int:
        """Bytes of a file without documents."""

    def sizes(self, sequences: Sequences) -> npt.NDArray[np.int64]:
        """Bytes that each document adds to a file."""

    def write(self, path: Path, sequences: Sequences) -> None:
        """Write one file; the same documents give the same bytes."""


@dataclass(frozen=True)
class ExportPlan:
    """The settings of an export that all its tasks share; ``corpus`` and ``output`` are URIs."""

    corpus: str
    output: str
    format: Format
    dtype: str
    file_bytes: int

    @property
    def layout(self) -> MdsLayout | ParquetLayout:
        return (
            MdsLayout(self.dtype, self.file_bytes) if self.format is Format.MDS else ParquetLayout(self.dtype)
        )


@dataclass(frozen=True)
class ExportedFile:
    """A file of the output, with what it holds; its path is relative to the output."""

    entry: FileEntry
    documents: int
    tokens: int


def export_shard(plan: ExportPlan, item: tuple[Split, ShardFiles]) -> list[ExportedFile]:
    """Write ``<split>/<shard>.<number>.<suffix>`` for all documents of the shard, in their order."""
    split, files = item
    layout: Layout = plan.layout
    exported = []
    with open_shard(plan.corpus, files, plan.dtype) as sequences:
        parts = cut(layout.sizes(sequences), plan.file_bytes - layout.overhead_bytes)
        for number, (first, end) in enumerate(parts):
            part = sequences.part(first, end)
            name = f"{split}/{files.shard.name}.{number:05d}.{layout.suffix}"
            uri = join(plan.output, name)
            with STORE.publish(uri) as path:
                layout.write(path, part)
                entry = file_entry(path, name)
            exported.append(ExportedFile(entry, end - first, len(part.tokens)))
    return exported


def cut(sizes: npt.NDArray[np.int64], limit: int) -> list[tuple[int, int]]:
    """Group neighbours within ``limit``. A larger one is a group by itself. Return (first, end) of each."""
    ends = np.cumsum(sizes)
    parts = []
    first = taken = 0
    while first < len(sizes):
        end = max(first + 1, int(np.searchsorted(ends, taken + limit, side="right")))
        parts.append((first, end))
        first, taken = end, int(ends[end - 1])
    return parts
