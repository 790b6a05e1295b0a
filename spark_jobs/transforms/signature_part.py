"""One task of near dedup: MinHash signatures and band keys of one clean file."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.recipes.corpus import NearDedupRecipe
from spark_jobs import storage
from spark_jobs.kernels import minhash, unicode_tables
from spark_jobs.place import Place
from spark_jobs.transforms.clean_part import CleanFile
from spark_jobs.transforms.columns import buffers, parquet_writer

SIGNATURE_SCHEMA = pa.schema(
    [("doc", pa.int64()), ("minhash", pa.list_(pa.int32())), ("bands", pa.list_(pa.int64()))]
)

#: The same, as Spark reads it.
SIGNATURE_COLUMNS = "doc bigint, minhash array<int>, bands array<bigint>"

_ROWS = 1024


def sign_file(place: Place, recipe: NearDedupRecipe, file: CleanFile) -> int:
    """Write the signatures of a clean file under its name; the number of documents that have one.

    Exact duplicates get none (their twin stands for them), nor do documents without words.
    """
    twins = decided(place.exact_duplicates, file).column("doc").combine_chunks()
    signed = 0
    with (
        storage.local_copy(storage.join(place.clean, file.name)) as source,
        storage.output_file(storage.join(place.signatures, file.name)) as target,
        pq.ParquetFile(source) as clean,
        parquet_writer(target, SIGNATURE_SCHEMA) as writer,
    ):
        for read in clean.iter_batches(batch_size=_ROWS, columns=["doc", "text"]):
            batch = (
                read.filter(pc.invert(pc.is_in(read.column("doc"), value_set=twins))) if len(twins) else read
            )
            signatures = sign_batch(batch.column("doc"), batch.column("text"), recipe)
            writer.write_batch(signatures)
            signed += signatures.num_rows
    return signed


def sign_batch(docs: pa.Int64Array, text: pa.StringArray, recipe: NearDedupRecipe) -> pa.RecordBatch:
    """A batch of SIGNATURE_SCHEMA; documents without words are left out."""
    data, offsets = buffers(text)
    minima, ngrams = minhash.signatures(
        data, offsets, unicode_tables.folds(), _permutations(recipe), recipe.ngram_words
    )
    wordy = ngrams > 0
    minima = minima[wordy]
    keys = minhash.band_keys(minima, recipe.bands, recipe.rows)
    return pa.RecordBatch.from_arrays(
        [docs.filter(pa.array(wordy)), _rows(minima.view(np.int32)), _rows(keys)], schema=SIGNATURE_SCHEMA
    )


def decided(folder: str, file: CleanFile) -> pa.Table:
    """What Spark wrote about the documents of a clean file, sorted by doc; an empty table for nothing."""
    uris = storage.list_files(storage.join(folder, f"part={file.part}", f"file={file.file}"))
    tables = []
    for uri in uris:
        if uri.endswith(".parquet"):
            with storage.local_copy(uri) as path, pq.ParquetFile(path) as parquet:
                tables.append(parquet.read())
    if not tables:
        return pa.table({"doc": pa.array([], pa.int64())})
    return pa.concat_tables(tables).sort_by("doc")


@lru_cache(maxsize=4)
def _permutations(recipe: NearDedupRecipe) -> npt.NDArray[np.uint64]:
    return minhash.permutations(recipe.bands * recipe.rows, recipe.seed)


def _rows(matrix: npt.NDArray[np.int32] | npt.NDArray[np.int64]) -> pa.ListArray:
    rows, width = matrix.shape
    offsets = np.arange(0, rows * width + 1, width, dtype=np.int32)
    return pa.ListArray.from_arrays(offsets, pa.array(matrix.reshape(-1)))
