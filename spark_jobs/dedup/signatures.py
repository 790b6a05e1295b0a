"""Text hashes, MinHash signatures and band keys of a batch of clean documents."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from include.recipes.near_dedup import NearDedupRecipe
from spark_jobs.dedup import minhash
from spark_jobs.kernels import hashing, unicode_tables
from spark_jobs.runtime.columns import buffers, list_column

#: A row for each clean document: all that exact dedup, near dedup and the choice of held-out documents need.
SIGNATURE_SCHEMA = pa.schema(
    [
        ("doc", pa.int64()),  # index of the shard and row (readers.shards.ROW_BITS)
        ("part", pa.int32()),  # the group of shards ...
        ("file", pa.int32()),  # ... and the number of the file within it
        ("characters", pa.int64()),
        ("text_low", pa.int64()),  # 128-bit hash of the normalised text
        ("text_high", pa.int64()),
        ("id_hash", pa.int64()),  # 63 bits, decides what is held out
        ("subset", pa.string()),
        ("ngrams", pa.int32()),  # 0: no words, so minhash and bands mean nothing
        ("minhash", pa.list_(pa.int32())),
        ("bands", pa.list_(pa.int64())),
    ]
)


def compute_signatures(
    batch: pa.RecordBatch, part: int, file: int, recipe: NearDedupRecipe
) -> pa.RecordBatch:
    """Documents (doc, id, text, subset, characters) of one clean file to a batch of SIGNATURE_SCHEMA."""
    rows = batch.num_rows
    data, offsets = buffers(batch.column("text"))
    text, identity = np.empty((rows, 2), np.uint64), np.empty((rows, 2), np.uint64)
    hashing.hash128(data, offsets, text)
    hashing.hash128(*buffers(batch.column("id")), identity)
    minima, ngrams = minhash.signatures(data, offsets, shingles(recipe), _permutations(recipe))
    columns = {
        "doc": batch.column("doc"),
        "part": np.full(rows, part, np.int32),
        "file": np.full(rows, file, np.int32),
        "characters": batch.column("characters"),
        "text_low": text[:, 0].view(np.int64),
        "text_high": text[:, 1].view(np.int64),
        "id_hash": (identity[:, 0] >> np.uint64(1)).astype(np.int64),
        "subset": batch.column("subset"),
        "ngrams": ngrams.astype(np.int32),
        "minhash": list_column(minima.view(np.int32)),
        "bands": list_column(minhash.band_keys(minima, recipe.bands, recipe.rows)),
    }
    return pa.RecordBatch.from_pydict(columns, schema=SIGNATURE_SCHEMA)


def shingles(recipe: NearDedupRecipe) -> minhash.Shingles:
    """Return the shingle parameters of the recipe in the form that the kernels take."""
    fold = unicode_tables.folds(recipe.fold)
    return minhash.Shingles(fold, recipe.ngram, recipe.min_units, recipe.shingle == "character")


@lru_cache(maxsize=4)
def _permutations(recipe: NearDedupRecipe) -> npt.NDArray[np.uint64]:
    return minhash.permutations(recipe.bands * recipe.rows, recipe.seed)
