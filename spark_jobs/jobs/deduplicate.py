"""Drop duplicates from clean documents and split the rest into training and held-out ones.

spark-submit --py-files spark_jobs.zip deduplicate.py --request s3://…/request.json
python -m spark_jobs.jobs.deduplicate --request build/corpus/request.json
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from include.contracts.documents import DropReason, Stage
from include.contracts.manifests import CorpusRequest, FileEntry, StageReport
from include.object_store import STORE
from include.recipes.corpus import CorpusRecipe
from spark_jobs.cleaning.task import CleanFile
from spark_jobs.corpus_version.base import adopt, first_document, load_base, shard_names
from spark_jobs.corpus_version.layout import VersionLayout, load_records, load_request, save_records
from spark_jobs.corpus_version.summary import summary_of
from spark_jobs.dedup.corpus import Corpus
from spark_jobs.dedup.decide import Decided, DedupTasks, decide
from spark_jobs.dedup.output import write_output
from spark_jobs.runtime import progress
from spark_jobs.runtime.entry import end, run_job

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Part of the documents that may be too short for near dedup before the job warns.
_SHORT_SHARE = 0.1

_PART = re.compile(r"part-(\d+)\.parquet$")


def deduplicate(spark: SparkSession, request_uri: str, tasks: DedupTasks = DedupTasks.AUTO) -> dict[str, Any]:
    """Run exact and near dedup unless they are complete. Return their summary."""
    request, recipe, layout = load_request(request_uri)
    if layout.report(Stage.NEAR_DEDUP) is None:
        _deduplicate(spark, request, recipe, layout, tasks)
    else:
        print("progress: near_dedup skipped, complete", flush=True)
    return summary_of(layout, [Stage.EXACT_DEDUP, Stage.NEAR_DEDUP])


def _deduplicate(
    spark: SparkSession,
    request: CorpusRequest,
    recipe: CorpusRecipe,
    layout: VersionLayout,
    tasks: DedupTasks,
) -> None:
    started = time.monotonic()
    before = layout.completed(Stage.SCRUB).documents_out
    kept_folders = (layout.documents, layout.held_out, layout.duplicates, layout.index)
    for folder in kept_folders:
        STORE.delete_folder(folder)
    base = load_base(request)
    adopted = adopt(layout, base, *kept_folders) if base else []
    files = load_records(CleanFile, layout.clean_index)
    names = shard_names(request.all_inputs)
    known = base.manifest.documents_kept if base else 0
    corpus = Corpus(layout, recipe, files, first_document(request), known, names)
    decided = decide(spark, corpus, tasks)
    _warn_if_not_compared(corpus, decided)
    clusters_seconds = time.monotonic() - started
    parts = list(enumerate(files, _first_part(adopted)))
    outputs = progress.run_tasks(
        spark, Stage.NEAR_DEDUP, "files", partial(write_output, layout, names), parts
    )
    save_records(layout.outputs_index, outputs)
    after = sum(output.documents + output.held_out for output in outputs)
    # counted from the written duplicates and not as a difference, so that a lost document is noticed
    near = sum(output.duplicates for output in outputs) - decided.exact
    seconds = time.monotonic() - started
    details = {
        "documents_held_out": sum(output.held_out for output in outputs),
        **_effort(decided),
        "seconds": {"clusters": round(clusters_seconds, 2), "output": round(seconds - clusters_seconds, 2)},
        "kept_rule": "those of the base, then most characters, then smallest id",
    }
    alone = before - decided.exact
    dropped = _dropped(DropReason.EXACT_DUPLICATE, decided.exact)
    layout.save_report(StageReport(Stage.EXACT_DEDUP, before, alone, dropped, 0.0))
    dropped = _dropped(DropReason.NEAR_DUPLICATE, near)
    layout.save_report(StageReport(Stage.NEAR_DEDUP, alone, after, dropped, seconds, details))


def _first_part(adopted: Sequence[FileEntry]) -> int:
    """Return the first number of an output file that no file of the base has."""
    numbers = [int(match[1]) for entry in adopted if (match := _PART.search(entry.path))]
    return 1 + max(numbers, default=-1)


def _warn_if_not_compared(corpus: Corpus, decided: Decided) -> None:
    """Warn if many documents are compared with no other, as those in scripts that the profile leaves out."""
    documents = sum(file.documents for file in corpus.files)
    near = corpus.recipe.near_dedup
    if decided.not_compared > _SHORT_SHARE * documents:
        progress.warn(
            f"near_dedup: {decided.not_compared} of {documents} documents have fewer than {near.min_units} "
            f"{near.shingle}s as near_dedup.fold {near.fold} finds them; no near duplicate of them is dropped"
        )


def _effort(decided: Decided) -> dict[str, int]:
    not_compared = {"documents_not_compared": decided.not_compared}
    verification = decided.verification
    if verification is None:
        return {"clusters": decided.clusters, **not_compared}
    return {
        **not_compared,
        "pairs_compared": verification.pairs,
        "verification_rounds": verification.rounds,
        "documents_unsettled": verification.unsettled,
    }


def _dropped(reason: DropReason, count: int) -> dict[str, int]:
    return {reason.value: count} if count else {}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the job for ``--request URI``. Return 0 if all documents and duplicates are written."""
    return run_job("deduplicate", deduplicate, argv, __doc__)


if __name__ == "__main__":
    end(main())
