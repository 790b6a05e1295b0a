"""Raw shards to clean, signed documents: read, normalise, filter.

spark-submit --py-files spark_jobs.zip clean.py --request s3://…/request.json
python -m spark_jobs.jobs.clean --request build/corpus/request.json
"""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from include.contracts.documents import Stage
from include.contracts.manifests import CorpusRequest, StageReport
from include.recipes.corpus import CorpusRecipe
from spark_jobs import progress, storage
from spark_jobs.base import load_base, numbered_shards
from spark_jobs.entry import run_job
from spark_jobs.place import Place, load_request, save_records
from spark_jobs.readers.shards import grouped
from spark_jobs.tasks.clean import CleanTask, ShardOutcome, clean_part

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_STAGES = (Stage.READ, Stage.NORMALISE, Stage.FILTER)


def clean(spark: SparkSession, request_uri: str) -> dict[str, Any]:
    """Run the three stages, one pass, unless they are complete; a summary of all."""
    request, recipe, place = load_request(request_uri)
    if place.report(Stage.FILTER) is None:
        _read_and_filter(spark, request, recipe, place)
    else:
        print("progress: read skipped, complete", flush=True)
    return summary(place, _STAGES)


def summary(place: Place, stages: Sequence[Stage]) -> dict[str, Any]:
    """What a job prints as its last line, out of its stage reports."""
    reports = [place.completed(stage) for stage in stages]
    return {
        "documents_in": reports[0].documents_in,
        "documents_out": reports[-1].documents_out,
        "dropped": {report.stage: report.dropped for report in reports if report.dropped},
        "seconds": {report.stage: round(report.seconds, 2) for report in reports},
    }


def _read_and_filter(spark: SparkSession, request: CorpusRequest, recipe: CorpusRecipe, place: Place) -> None:
    started = time.monotonic()
    for folder in (place.clean, place.signatures):
        storage.delete_prefix(folder)
    shards = numbered_shards(request, load_base(request))
    _check_unchanged(request)
    tasks = [CleanTask(part, group, place, recipe) for part, group in enumerate(grouped(shards))]
    results = progress.run_tasks(spark, Stage.READ, "parts", clean_part, tasks)
    outcomes = [outcome for outcomes, _ in results for outcome in outcomes]
    files = [file for _, files in results for file in files]
    save_records(place.clean_index, files)
    seconds = time.monotonic() - started
    for report in _reports(outcomes, sum(file.documents for file in files), seconds):
        place.save_report(report)


def _check_unchanged(request: CorpusRequest) -> None:
    """Before any work: every shard is there and is the one that the request names."""
    remote = [raw for raw in request.inputs if storage.is_s3(raw.uri)]
    with ThreadPoolExecutor(16) as pool:
        for raw, now in zip(remote, pool.map(lambda raw: storage.stat(raw.uri), remote), strict=True):
            if now.etag != raw.etag:
                raise storage.changed_shard(raw.uri, raw.etag, f"etag {now.etag}")


def _reports(outcomes: Sequence[ShardOutcome], written: int, seconds: float) -> list[StageReport]:
    """One pass did three stages; its time stands with the first.

    What came out is counted apart from what was dropped, so that a report of the two can be wrong.
    """
    read, normalised, filtered = Counter[str](), Counter[str](), Counter[str]()
    for outcome in outcomes:
        read.update(outcome.read.dropped)
        normalised.update(outcome.normalise)
        filtered.update(outcome.filter)
    records = sum(outcome.read.records for outcome in outcomes)
    read_out = sum(outcome.documents_read for outcome in outcomes)
    normalised_out = sum(outcome.documents_normalised for outcome in outcomes)
    shards = {
        outcome.name: {
            key: value
            for key, value in dataclasses.asdict(outcome.read).items()
            if value or key in ("records", "bytes")
        }
        | {"kept": outcome.kept}
        for outcome in outcomes
    }
    details = {"shards": shards, "bytes": sum(outcome.read.bytes for outcome in outcomes)}
    return [
        StageReport(Stage.READ, records, read_out, _counted(read), seconds, details),
        StageReport(Stage.NORMALISE, read_out, normalised_out, _counted(normalised), 0.0),
        StageReport(Stage.FILTER, normalised_out, written, _counted(filtered), 0.0),
    ]


def _counted(dropped: Counter[str]) -> dict[str, int]:
    return {reason: count for reason, count in sorted(dropped.items()) if count}


def main(argv: Sequence[str] | None = None) -> int:
    """``--request URI``; 0 when the three stages are complete."""
    return run_job("clean", clean, argv, __doc__)


if __name__ == "__main__":
    raise SystemExit(main())
