"""Filter shards by the recipe web_english, without Spark: the first process of `make bench-filters`.

python -m benchmarks.corpus.filter_shards --input SHARDS --output FOLDER [--processes 2]

Reads, normalises and filters the shards (language, Gopher, C4, FineWeb, our own bounds) and writes the kept
documents as Parquet. Prints one JSON line: seconds, documents read and kept, drops by reason.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import pyarrow as pa

from include.recipes.corpus import CorpusRecipe, ReadRecipe
from include.recipes.loading import packaged_recipe
from spark_jobs.cleaning.chain import apply_filters
from spark_jobs.cleaning.normalise import normalise
from spark_jobs.readers.counts import ReadCounts
from spark_jobs.readers.documents import read_documents
from spark_jobs.readers.input_files import inputs_of, raw_shard
from spark_jobs.readers.shards import NumberedShard, ordered_shards
from spark_jobs.runtime.columns import parquet_writer

Outcome = tuple[int, int, Counter[str]]


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 if every shard is filtered."""
    parser = argparse.ArgumentParser(prog="benchmarks.corpus.filter_shards", description=__doc__)
    parser.add_argument("--input", required=True)
    parser.add_argument("--output", required=True, type=Path)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args(argv)
    started = time.monotonic()
    recipe = packaged_recipe(CorpusRecipe, "corpora", "web_english")
    shards = shards_of(arguments.input)
    arguments.output.mkdir(parents=True, exist_ok=True)
    load(recipe)
    task = partial(filter_shard, recipe, arguments.output)
    with ProcessPoolExecutor(arguments.processes, multiprocessing.get_context("fork")) as pool:
        outcomes = list(pool.map(task, shards))
    said = {
        "seconds": round(time.monotonic() - started, 2),
        "documents": sum(read for read, _, _ in outcomes),
        "kept": sum(kept for _, kept, _ in outcomes),
        "dropped": dict(sum((dropped for _, _, dropped in outcomes), Counter[str]())),
    }
    print(json.dumps(said, sort_keys=True))
    return 0


def load(recipe: CorpusRecipe) -> None:
    """Load kernels, tables and the language model before the fork, so that the processes share them."""
    columns = {"text": ["The harbour was quiet. " * 50], "metadata": ["{}"], "row": [0]}
    filtered(pa.record_batch(columns), recipe, Counter())


def shards_of(folder: str) -> list[NumberedShard]:
    """Return the shards of a folder in their order."""
    return ordered_shards([raw_shard(uri) for uri in inputs_of(folder).accepted])


def filter_shard(recipe: CorpusRecipe, output: Path, shard: NumberedShard) -> Outcome:
    """Filter one shard into a Parquet file. Return documents read, documents kept and drops."""
    read = kept = 0
    dropped: Counter[str] = Counter()
    schema = pa.schema([("row", pa.int64()), ("text", pa.string())])
    with parquet_writer(output / f"{shard.index:05d}.parquet", schema) as writer:
        for documents in read_documents(shard, ReadRecipe(), ReadCounts()):
            read += documents.num_rows
            batch = filtered(documents, recipe, dropped)
            kept += batch.num_rows
            columns = [batch.column("row").cast(pa.int64()), batch.column("text")]
            writer.write_batch(pa.record_batch(columns, schema=schema))
    return read, kept, dropped


def filtered(documents: pa.RecordBatch, recipe: CorpusRecipe, dropped: Counter[str]) -> pa.RecordBatch:
    """Normalise and filter documents in the order of the pipeline."""
    return apply_filters(normalise(documents, recipe.normalise, dropped), recipe, dropped)


if __name__ == "__main__":
    raise SystemExit(main())
