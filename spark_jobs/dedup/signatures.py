"""Hashes, MinHash signatures and band keys of a batch of clean documents."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from include.recipes.near_dedup import NearDedupRecipe
from spark_jobs.dedup import minhash
from spark_jobs.kernels import hashing, unicode_tables
from spark_jobs.runtime.columns import buffers
from spark_jobs.runtime.tables import SIGNED_SCHEMA


def sign(batch: pa.RecordBatch, part: int, file: int, recipe: NearDedupRecipe) -> pa.RecordBatch:
    """Documents (doc, id, text, subset, characters) of one clean file to a batch of SIGNED_SCHEMA."""
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
        "minhash": _rows(minima.view(np.int32)),
        "bands": _rows(minhash.band_keys(minima, recipe.bands, recipe.rows)),
    }
    return pa.RecordBatch.from_pydict(columns, schema=SIGNED_SCHEMA)


def shingles(recipe: NearDedupRecipe) -> minhash.Shingles:
    """What the kernels compare, of what the recipe says."""
    fold = unicode_tables.folds(recipe.fold)
    return minhash.Shingles(fold, recipe.ngram, recipe.min_units, recipe.shingle == "character")


@lru_cache(maxsize=4)
def _permutations(recipe: NearDedupRecipe) -> npt.NDArray[np.uint64]:
    return minhash.permutations(recipe.bands * recipe.rows, recipe.seed)


def _rows(matrix: npt.NDArray[np.int32] | npt.NDArray[np.int64]) -> pa.ListArray:
    rows, width = matrix.shape
    offsets = np.arange(0, rows * width + 1, width, dtype=np.int32)
    return pa.ListArray.from_arrays(offsets, pa.array(matrix.reshape(-1)))
