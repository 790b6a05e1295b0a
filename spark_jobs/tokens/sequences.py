"""Read token shards of a complete corpus version: whole documents with their ids, after verification."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from include.contracts.errors import IntegrityError
from include.contracts.manifests import FileEntry, TokenShard
from include.object_store import STORE
from include.object_store.locations import join
from include.object_store.verification import file_entry

_REMEDY = "copy the file again from the place where the corpus was built, or build the corpus again"


@dataclass(frozen=True)
class Sequences:
    """Neighbouring documents of one subset, each one sequence that ends with the end-of-text token.

    ``tokens`` holds them one after the other; document ``i`` of ``ids`` is ``starts[i]`` to
    ``starts[i + 1]`` of it, so ``starts`` has one number more than there are documents and begins with 0.
    """

    subset: str
    ids: pa.StringArray
    starts: npt.NDArray[np.int64]
    tokens: npt.NDArray[Any]

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each document."""
        return np.diff(self.starts)

    def part(self, first: int, end: int) -> Sequences:
        """Return documents ``first`` to ``end - 1``; only the starts are copied."""
        starts = self.starts[first : end + 1]
        tokens = self.tokens[starts[0] : starts[-1]]
        return Sequences(self.subset, self.ids.slice(first, end - first), starts - starts[0], tokens)


@dataclass(frozen=True)
class ShardFiles:
    """One shard of a manifest with the entries of its tokens and of its sidecar."""

    shard: TokenShard
    tokens: FileEntry
    documents: FileEntry


@contextmanager
def open_shard(root: str, files: ShardFiles, dtype: str) -> Iterator[Sequences]:
    """Yield the shard's documents. Its tokens are mapped from disk, never read as a whole.

    Raises IntegrityError if a file differs from the manifest, or sidecar and tokens do not match.
    """
    with (
        _checked(root, files.tokens) as tokens_path,
        _checked(root, files.documents) as documents_path,
    ):
        table = pq.read_table(documents_path, columns=["id", "tokens"])
        lengths = table.column("tokens").to_numpy()
        # as a plain array: a slice of a memmap costs more than what most documents take to write
        tokens = np.memmap(tokens_path, dtype, "r").view(np.ndarray)
        if len(lengths) == 0 or lengths.min() < 1 or lengths.sum(dtype=np.int64) != len(tokens):
            raise IntegrityError(
                "the lengths of its documents do not fit its tokens",
                where=join(root, files.documents.path),
                expected=f"{len(tokens)} tokens, at least one a document",
                got=f"{lengths.sum(dtype=np.int64)} tokens in {len(lengths)} documents",
                remedy=_REMEDY,
            )
        starts = np.zeros(len(lengths) + 1, np.int64)
        np.cumsum(lengths, out=starts[1:])
        yield Sequences(files.shard.subset, table.column("id").combine_chunks(), starts, tokens)


@contextmanager
def _checked(root: str, entry: FileEntry) -> Iterator[Path]:
    """Yield a local path of the file after its size and hash were compared with the manifest."""
    uri = join(root, entry.path)
    with STORE.local_copy(uri) as path:
        expected = f"{entry.size_bytes} bytes of sha256 {entry.sha256}"
        if not path.is_file():
            raise IntegrityError("the file is missing", where=uri, expected=expected, remedy=_REMEDY)
        found = file_entry(path, entry.path)
        if (found.size_bytes, found.sha256) != (entry.size_bytes, entry.sha256):
            raise IntegrityError(
                "not the file that the manifest lists",
                where=uri,
                expected=expected,
                got=f"{found.size_bytes} bytes of sha256 {found.sha256}",
                remedy=_REMEDY,
            )
        yield path
