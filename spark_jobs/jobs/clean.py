"""Turn raw shards into clean documents and their signatures: read, normalise, filter, decontaminate, scrub.

spark-submit --py-files spark_jobs.zip clean.py --request s3://…/request.json
python -m spark_jobs.jobs.clean --request build/corpus/request.json
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from include.contracts.documents import Stage
from include.contracts.manifests import CorpusRequest, StageReport
from include.contracts.records import canonical_json
from include.object_store import STORE
from include.object_store.errors import changed_object
from include.object_store.locations import is_s3
from include.recipes.corpus import CorpusRecipe
from spark_jobs.cleaning.chain import CHAIN, ChainCounts, benchmarks
from spark_jobs.cleaning.finished_parts import clean_once
from spark_jobs.cleaning.task import CleanPart, CleanTask, ShardCounts
from spark_jobs.corpus_version.base import load_base, numbered_shards
from spark_jobs.corpus_version.layout import VersionLayout, load_request, save_records
from spark_jobs.corpus_version.summary import summary_of
from spark_jobs.decontamination.filter import Contamination
from spark_jobs.readers.shards import document_id, grouped
from spark_jobs.readers.subsets import require_few_subsets
from spark_jobs.runtime import progress
from spark_jobs.runtime.entry import end, run_job
from spark_jobs.tokens.version_tokenizer import examine_tokenizer

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_STAGES = (Stage.READ, *CHAIN)
#: Examples that are kept for each reason.
_EXAMPLES = 3


def clean(spark: SparkSession, request_uri: str) -> dict[str, Any]:
    """Run the stages in one pass unless they are complete. Return a summary of all."""
    request, recipe, layout = load_request(request_uri)
    if layout.report(CHAIN[-1]) is None:
        _read_and_filter(spark, request, recipe, layout)
    else:
        print("progress: read skipped, complete", flush=True)
    return summary_of(layout, _STAGES)


def _read_and_filter(
    spark: SparkSession, request: CorpusRequest, recipe: CorpusRecipe, layout: VersionLayout
) -> None:
    started = time.monotonic()
    base = load_base(request)  # a base that cannot be extended fails here, before the long work
    for note in examine_tokenizer(request, recipe):  # an unusable tokenizer also fails before the long work
        progress.warn(f"tokenizer: {note}")
    shards = numbered_shards(request)
    benchmarks(recipe.decontaminate)  # a benchmark that cannot match anything fails before the long work
    _check_unchanged(request)
    tasks = [CleanTask(part, group, layout, recipe) for part, group in enumerate(grouped(shards))]
    parts = progress.run_tasks(spark, Stage.READ, "parts", clean_once, tasks)
    subsets = {subset for part in parts for subset in part.subsets}
    require_few_subsets(subsets | (base.manifest.subsets.keys() if base else set()), recipe.read)
    outcomes = [outcome for part in parts for outcome in part.outcomes]
    files = [file for part in parts for file in part.files]
    save_records(layout.clean_index, files)
    STORE.write(layout.examples, canonical_json(_examples(outcomes)))
    seconds = _by_stage(time.monotonic() - started, parts)
    for report in _reports(outcomes, sum(file.documents for file in files), seconds):
        layout.save_report(report)


def _by_stage(seconds: float, parts: Sequence[CleanPart]) -> dict[Stage, float]:
    """Divide the time of the pass among stages as in the tasks. Reading gets the rest."""
    worked = sum(part.seconds for part in parts) or 1.0
    spent = {
        stage: seconds * sum(o.chain.seconds[stage.value] for p in parts for o in p.outcomes) / worked
        for stage in CHAIN
    }
    return {Stage.READ: seconds - sum(spent.values()), **spent}


def _check_unchanged(request: CorpusRequest) -> None:
    """Check that every shard in S3 and every file of the recipe still has the ETag that the request names."""
    expected = {raw.uri: raw.etag for raw in request.inputs if is_s3(raw.uri)} | request.references
    with ThreadPoolExecutor(16) as pool:
        for uri, now in zip(expected, pool.map(STORE.stat, expected), strict=True):
            if now.etag != expected[uri]:
                raise changed_object(uri, expected[uri], f"etag {now.etag}")


def _reports(
    outcomes: Sequence[ShardCounts], written: int, seconds: Mapping[Stage, float]
) -> list[StageReport]:
    """Build the reports of the stages, which ran in one pass.

    Documents that came out are counted separately from dropped ones, so that a lost document is noticed.
    """
    records = sum(outcome.read.records for outcome in outcomes)
    documents = sum(outcome.documents_read for outcome in outcomes)
    read = _counted(outcome.read.dropped for outcome in outcomes)
    details = _read_details(outcomes)
    reports = [StageReport(Stage.READ, records, documents, read, seconds[Stage.READ], details)]
    for stage in CHAIN:
        left = sum(outcome.chain.left[stage.value] for outcome in outcomes)
        after = written if stage is CHAIN[-1] else left
        dropped = _counted(outcome.chain.dropped[stage.value] for outcome in outcomes)
        details = _details(stage, [outcome.chain for outcome in outcomes])
        reports.append(StageReport(stage, documents, after, dropped, seconds[stage], details))
        documents = left
    return reports


def _read_details(outcomes: Sequence[ShardCounts]) -> dict[str, Any]:
    shards = {outcome.name: _shard_details(outcome) for outcome in outcomes}
    repaired = _counted(outcome.read.repaired for outcome in outcomes)
    total = sum(outcome.read.bytes_read for outcome in outcomes)
    return {"shards": shards, "bytes": total} | ({"repaired": repaired} if repaired else {})


def _shard_details(outcome: ShardCounts) -> dict[str, Any]:
    """Return a shard's counts: ``records == kept + all dropped``, kept by the last stage of this pass."""
    read, stages = outcome.read, {Stage.READ.value: outcome.read.dropped, **outcome.chain.dropped}
    dropped = {stage: dict(sorted(drops.items())) for stage, drops in stages.items() if drops}
    repaired = dict(sorted(read.repaired.items()))
    told = {
        "container": read.container,
        "companion": read.companion,
        "note": read.note,
        "dropped": dropped,
        "repaired": repaired,
    }
    counts = {"records": read.records, "bytes": read.bytes_read, "kept": outcome.chain.left[CHAIN[-1].value]}
    return counts | {name: value for name, value in told.items() if value}


def _details(stage: Stage, chains: Sequence[ChainCounts]) -> dict[str, Any]:
    if stage is Stage.SCRUB:
        return {"replaced": _counted(chain.replaced for chain in chains)}
    if stage is not Stage.DECONTAMINATE:
        return {}
    found: dict[str, Contamination] = {}
    for chain in chains:
        for name, contamination in sorted(chain.contamination.items()):
            found.setdefault(name, Contamination()).merge(contamination)
    return {
        "benchmarks": {
            name: {"documents": one.documents, "items": sorted(one.items), "example": one.example}
            for name, one in sorted(found.items())
        }
    }


def _counted(counters: Iterable[Counter[str]]) -> dict[str, int]:
    total = Counter[str]()
    for counter in counters:
        total.update(counter)
    return {reason: count for reason, count in sorted(total.items()) if count}


def _examples(outcomes: Sequence[ShardCounts]) -> dict[str, dict[str, list[dict[str, str]]]]:
    """Collect the first dropped records and documents of each stage and reason for the report."""
    examples: dict[str, dict[str, list[dict[str, str]]]] = {}
    for outcome in outcomes:
        for stage, drops in {Stage.READ.value: outcome.read.dropped, **outcome.chain.dropped}.items():
            for reason, found in drops.examples.items():
                shown = examples.setdefault(stage, {}).setdefault(reason, [])
                shown += [{"id": document_id(outcome.name, row), "text": text} for row, text in found]
                del shown[_EXAMPLES:]
    return examples


def main(argv: Sequence[str] | None = None) -> int:
    """Run the job for ``--request URI``. Return 0 if the stages are complete."""
    return run_job("clean", clean, argv, __doc__)


if __name__ == "__main__":
    end(main())
