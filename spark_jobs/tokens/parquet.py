"""Write token sequences as parquet; a row is a whole document."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spark_jobs.runtime.columns import buffers, parquet_writer
from spark_jobs.tokens.sequences import Sequences

#: Offsets of id and tokens, and the length.
_NUMBERS_BYTES = 12


@dataclass(frozen=True)
class ParquetLayout:
    """Columns ``id``, ``subset``, ``tokens`` (list of ``dtype``, without nulls), ``length`` in tokens."""

    dtype: str

    suffix = "parquet"
    overhead_bytes = 0

    @property
    def schema(self) -> pa.Schema:
        """The schema of every file."""
        element = pa.field("element", pa.from_numpy_dtype(np.dtype(self.dtype)), nullable=False)
        return pa.schema(
            [
                pa.field("id", pa.string(), nullable=False),
                pa.field("subset", pa.string(), nullable=False),
                pa.field("tokens", pa.list_(element), nullable=False),
                pa.field("length", pa.int32(), nullable=False),
            ]
        )

    def sizes(self, sequences: Sequences) -> npt.NDArray[np.int64]:
        """Bytes of each document before compression; the subset is in the file's dictionary."""
        ids = np.diff(buffers(sequences.ids)[1])
        sizes: npt.NDArray[np.int64] = (
            ids + sequences.lengths * np.dtype(self.dtype).itemsize + _NUMBERS_BYTES
        )
        return sizes

    def write(self, path: Path, sequences: Sequences) -> None:
        """Write one file, as one group of rows."""
        schema = self.schema
        values = pa.array(sequences.tokens)
        columns = [
            sequences.ids,
            pa.repeat(sequences.subset, len(sequences.ids)),
            pa.ListArray.from_arrays(
                pa.array(sequences.starts, pa.int32()), values, type=schema.field("tokens").type
            ),
            pa.array(sequences.lengths, pa.int32()),
        ]
        with parquet_writer(path, schema) as writer:
            writer.write_batch(pa.record_batch(columns, schema=schema))
