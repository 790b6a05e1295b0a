"""Write shards and index of mosaicml-streaming's MDS (version 2); a sample is a whole document.

The package's own MDSWriter imports torch, transformers and the SDK of every cloud, which have no place
among the Spark jobs, and the format is small. ``tests/peers`` holds these bytes equal to those of the
MDSWriter and reads them with StreamingDataset. A shard, all integers little endian::

    samples    u32
    offsets    u32 x (samples + 1): where each sample begins in the file, and where the last one ends
    config     JSON, keys sorted
    samples    u32 x 3: bytes of ``id``, ``subset`` and ``tokens``; then these three (names in order)

Strings are UTF-8. The tokens are an array of one dimension whose dtype stands in the config: one byte
``1 << 2 | c``, the length in ``1 << c`` bytes, the ids.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from include.contracts.errors import InputError
from include.contracts.manifests import FileEntry
from spark_jobs.runtime.columns import buffers
from spark_jobs.tokens.sequences import Sequences

#: The value for StreamingDataset's ``validate_hash``.
HASH = "sha256"

_BUFFER_BYTES = 1 << 20
_COLUMN_SIZES = np.dtype("<u4").itemsize * 3


@dataclass(frozen=True)
class MdsLayout:
    """The form of all shards of a dataset. ``dtype`` is that of the tokens: ``uint16`` or ``int32``."""

    dtype: str
    size_limit_bytes: int

    suffix = "mds"

    @property
    def config(self) -> dict[str, Any]:
        """The description of a shard in shard and index, by mosaicml-streaming's names."""
        return {
            "column_encodings": ["str", "str", f"ndarray:{self.dtype}"],
            "column_names": ["id", "subset", "tokens"],
            "column_sizes": [None, None, None],
            "compression": None,
            "format": "mds",
            "hashes": [HASH],
            "size_limit": self.size_limit_bytes,
            "version": 2,
        }

    @property
    def overhead_bytes(self) -> int:
        """Bytes of a shard without samples."""
        return len(self._header) + 8

    def sizes(self, sequences: Sequences) -> npt.NDArray[np.int64]:
        """Bytes that each document takes in a shard, its offset included."""
        sizes: npt.NDArray[np.int64] = self._column_sizes(sequences).sum(axis=1) + _COLUMN_SIZES + 4
        return sizes

    def write(self, path: Path, sequences: Sequences) -> None:
        """Write one shard. Raises InputError if it is too large for 32-bit offsets."""
        sizes = self._column_sizes(sequences)
        offsets = np.zeros(len(sizes) + 1, np.int64)
        np.cumsum(sizes.sum(axis=1) + _COLUMN_SIZES, out=offsets[1:])
        offsets += self.overhead_bytes + 4 * len(sizes)
        if offsets[-1] >= 1 << 32:
            raise InputError(
                "a document is too long for MDS",
                where=sequences.ids[0].as_py(),
                expected=f"less than {1 << 32} bytes",
                got=f"{offsets[-1]} bytes",
                remedy="export to parquet",
            )
        subset = sequences.subset.encode()
        id_bytes, id_ends = buffers(sequences.ids)
        heads = sizes.astype("<u4")
        with path.open("wb", buffering=_BUFFER_BYTES) as file:
            file.write(len(sizes).to_bytes(4, "little"))
            file.write(offsets.astype("<u4").tobytes())
            file.write(self._header)
            for i, (start, end) in enumerate(zip(sequences.starts[:-1], sequences.starts[1:], strict=True)):
                file.write(heads[i].tobytes())
                file.write(id_bytes[id_ends[i] : id_ends[i + 1]].tobytes())
                file.write(subset)
                file.write(_shape(int(end - start)))
                file.write(sequences.tokens[start:end].data)

    @property
    def _header(self) -> bytes:
        return json.dumps(self.config, sort_keys=True).encode()

    def _column_sizes(self, sequences: Sequences) -> npt.NDArray[np.int64]:
        """Return bytes of id, subset and tokens, in the shape (documents, 3)."""
        lengths = sequences.lengths
        sizes = np.empty((len(lengths), 3), np.int64)
        sizes[:, 0] = np.diff(buffers(sequences.ids)[1])
        sizes[:, 1] = len(sequences.subset.encode())
        shape = 1 + np.select([lengths < 1 << 8, lengths < 1 << 16], [1, 2], 4)
        sizes[:, 2] = shape + lengths * np.dtype(self.dtype).itemsize
        return sizes


def _shape(length: int) -> bytes:
    """Encode the length of an array in as few bytes as MDS allows."""
    code = 0 if length < 1 << 8 else 1 if length < 1 << 16 else 2
    return bytes((1 << 2 | code,)) + length.to_bytes(1 << code, "little")


def index_json(layout: MdsLayout, shards: Sequence[tuple[FileEntry, int]]) -> bytes:
    """Return ``index.json`` for shards in their order, each with the number of its samples."""
    listed = [
        {
            **layout.config,
            "raw_data": {
                "basename": entry.path.rpartition("/")[2],
                "bytes": entry.size_bytes,
                "hashes": {HASH: entry.sha256},
            },
            "samples": samples,
            "zip_data": None,
        }
        for entry, samples in shards
    ]
    return json.dumps({"shards": listed, "version": 2}, sort_keys=True).encode()
