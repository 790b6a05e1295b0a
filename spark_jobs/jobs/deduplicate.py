"""Clean documents to documents without near duplicates, split into training and held-out ones.

spark-submit --py-files spark_jobs.zip deduplicate.py --request s3://…/request.json
python -m spark_jobs.jobs.deduplicate --request build/corpus/request.json
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from include.contracts.documents import DropReason, Stage
from include.contracts.manifests import CorpusRequest, StageReport
from include.recipes.corpus import CorpusRecipe
from spark_jobs import progress, storage
from spark_jobs.entry import run_job
from spark_jobs.jobs.clean import summary
from spark_jobs.place import Place, load_records, load_request, save_records
from spark_jobs.readers.shards import ordered_shards
from spark_jobs.session import fit_queries
from spark_jobs.transforms.candidate_pairs import star_edges
from spark_jobs.transforms.clean_part import CLEAN_COLUMNS, CleanFile
from spark_jobs.transforms.components import connected_components
from spark_jobs.transforms.output_part import write_output
from spark_jobs.transforms.signature_part import SIGNATURE_COLUMNS, sign_file
from spark_jobs.transforms.survivors import all_duplicates, held_out, near_duplicates
from spark_jobs.transforms.tables import read_columns, write_by_file

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_EXACT = "doc bigint, kept bigint, part int, file int"


def deduplicate(spark: SparkSession, request_uri: str) -> dict[str, Any]:
    """Run near dedup unless it is complete; its summary."""
    request, recipe, place = load_request(request_uri)
    if place.report(Stage.NEAR_DEDUP) is None:
        _near_dedup(spark, request, recipe, place)
    else:
        print("progress: near_dedup skipped, complete", flush=True)
    return summary(place, [Stage.NEAR_DEDUP])


def _near_dedup(spark: SparkSession, request: CorpusRequest, recipe: CorpusRecipe, place: Place) -> None:
    started = time.monotonic()
    before = place.completed(Stage.EXACT_DEDUP).documents_out
    for folder in (place.signatures, place.near_dedup, place.decisions):
        storage.delete_prefix(folder)
    for folder in (place.documents, place.held_out, place.duplicates):
        storage.delete_prefix(folder)
    files = load_records(CleanFile, place.clean_index)
    seconds = {}
    progress.run_tasks(spark, "signatures", "files", partial(sign_file, place, recipe.near_dedup), files)
    seconds["signatures"] = time.monotonic() - started
    if files:
        fit_queries(spark, before * recipe.near_dedup.bands)
        _decide(spark, recipe, place)
    seconds["clusters"] = time.monotonic() - started - sum(seconds.values())
    names = [shard.name for shard in ordered_shards(request.inputs)]
    outputs = progress.run_tasks(
        spark, Stage.NEAR_DEDUP, "files", partial(write_output, place, names), list(enumerate(files))
    )
    seconds["output"] = time.monotonic() - started - sum(seconds.values())
    save_records(place.outputs_index, outputs)
    after = sum(output.documents + output.held_out for output in outputs)
    # counted from the duplicates that were written, not from what is missing: a lost document shows
    exact = sum(place.completed(Stage.EXACT_DEDUP).dropped.values())
    near = sum(output.duplicates for output in outputs) - exact
    dropped = {DropReason.NEAR_DUPLICATE.value: near} if near else {}
    details = {
        "documents_held_out": sum(output.held_out for output in outputs),
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
        "kept_rule": "most characters, then smallest id",
    }
    place.save_report(
        StageReport(Stage.NEAR_DEDUP, before, after, dropped, time.monotonic() - started, details)
    )


def _decide(spark: SparkSession, recipe: CorpusRecipe, place: Place) -> None:
    """Write for each clean file what becomes of its documents, save of those that are simply kept."""
    signatures = read_columns(spark, place.signatures, SIGNATURE_COLUMNS)
    edges_uri = storage.join(place.near_dedup, "edges")
    progress.report("clusters", 0, 3, "steps")
    star_edges(signatures).write.parquet(edges_uri)
    progress.report("clusters", 1, 3, "steps")
    components = connected_components(spark, edges_uri, place.near_dedup)
    progress.report("clusters", 2, 3, "steps")
    documents = read_columns(spark, place.clean, CLEAN_COLUMNS)
    exact = _exact(spark, place)
    near = near_duplicates(components, documents, signatures)
    duplicates = all_duplicates(near, exact, documents).persist()
    kept = documents.join(duplicates.select("doc"), "doc", "left_anti")
    kept_documents = place.completed(Stage.FILTER).documents_out - duplicates.count()
    chosen = held_out(kept, kept_documents, recipe.held_out)
    write_by_file(duplicates.unionByName(chosen, allowMissingColumns=True), place.decisions)
    duplicates.unpersist()
    progress.report("clusters", 3, 3, "steps")


def _exact(spark: SparkSession, place: Place) -> DataFrame:
    if not storage.list_files(place.exact_duplicates):
        return spark.createDataFrame([], _EXACT)
    return spark.read.schema(_EXACT).parquet(place.exact_duplicates)


def main(argv: Sequence[str] | None = None) -> int:
    """``--request URI``; 0 when documents, held-out documents and duplicates are written."""
    return run_job("deduplicate", deduplicate, argv, __doc__)


if __name__ == "__main__":
    raise SystemExit(main())
