"""Build a corpus without Airflow: run all jobs in one Spark session, from raw shards to the manifest.

python -m spark_jobs.jobs.build_corpus --input shards/ --output build/corpus/ [--recipe standard]
    [--profile slimpajama] [--tokenizer tokenizer.json] [--until near_dedup] [--dedup-tasks many]
python -m spark_jobs.jobs.build_corpus --request build/corpus/request.json
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from include.contracts.documents import Stage
from include.contracts.errors import InputError, NexusError
from include.contracts.manifests import CorpusRequest
from include.contracts.records import canonical_json, to_plain
from include.object_store import STORE
from include.object_store.locations import absolute, join
from include.recipes.corpus import CorpusRecipe, with_profile
from include.recipes.corpus_version import corpus_version
from include.recipes.loading import packaged_recipe, recipe_from_toml
from spark_jobs.cleaning.chain import CHAIN
from spark_jobs.corpus_version.base import extending
from spark_jobs.corpus_version.code import sources_sha256
from spark_jobs.corpus_version.layout import VersionLayout
from spark_jobs.dedup.decide import DedupTasks
from spark_jobs.jobs.clean import clean
from spark_jobs.jobs.deduplicate import deduplicate
from spark_jobs.jobs.tokenise import tokenise
from spark_jobs.readers.input_files import inputs_of, raw_shard
from spark_jobs.runtime.entry import run_with_session
from spark_jobs.tokens.examination import examine_recipe

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_LISTERS = 16


@dataclass(frozen=True)
class _CorpusJob:
    """A job and the stages that it completes."""

    run: Callable[[SparkSession, str], dict[str, Any]]
    stages: tuple[Stage, ...]


JOBS = (
    _CorpusJob(clean, (Stage.READ, *CHAIN)),
    _CorpusJob(deduplicate, (Stage.EXACT_DEDUP, Stage.NEAR_DEDUP)),
    _CorpusJob(tokenise, (Stage.TOKENISE,)),
)


def build_corpus(
    spark: SparkSession,
    request_uri: str,
    until: Stage = Stage.TOKENISE,
    started: float | None = None,
    dedup_tasks: DedupTasks = DedupTasks.AUTO,
) -> dict[str, Any]:
    """Run what is not complete yet, up to the job of the stage ``until``; counts and seconds by stage.

    ``seconds`` are counted from ``started`` (of ``time.monotonic``), which may be before the start of Spark.
    """
    began = time.monotonic() if started is None else started
    stages: dict[str, Any] = {}
    request = STORE.read_record(CorpusRequest, request_uri)
    layout = VersionLayout(request.root_uri)
    for job in JOBS:
        run = partial(deduplicate, tasks=dedup_tasks) if job.run is deduplicate else job.run
        run(spark, request_uri)
        for stage in job.stages:
            report = layout.completed(stage)
            stages[stage.value] = {"seconds": round(report.seconds, 2), "dropped": report.dropped}
        if until in job.stages:
            break
    return {
        "documents_in": layout.completed(Stage.READ).documents_in,
        "documents_kept": layout.completed(job.stages[-1]).documents_out,
        "bytes_in": sum(shard.size_bytes for shard in request.inputs),
        "seconds": round(time.monotonic() - began, 2),
        "stages": stages,
    }


def request_for(source: str, output: str, recipe: CorpusRecipe, base: str = "") -> str:
    """Write the request for a folder or S3 prefix of shards and return its URI. Print the files left out.

    With ``base``, the folder of a complete version, the request is for the shards that it does not hold.
    """
    if source.rstrip("/") == output.rstrip("/"):
        remedy = f"choose another folder, such as {join(output, 'corpus')}"
        raise InputError("the output folder is the input folder", where=output, remedy=remedy)
    if not base:
        examine_recipe(recipe.tokenizer)
    found = inputs_of(source)
    for uri, reason in sorted(found.left_out.items()):
        print(f"left out: {uri if uri.isprintable() else repr(uri)}: {reason}", file=sys.stderr)
    if not found.accepted:
        raise InputError("no shard", where=source, expected="JSON lines or parquet with a text field")
    with ThreadPoolExecutor(_LISTERS) as pool:
        inputs = tuple(pool.map(lambda uri: raw_shard(uri, source), found.accepted))
    references = {uri: STORE.stat(uri).etag for uri in recipe.references}
    code = sources_sha256()
    request = CorpusRequest("", inputs, to_plain(recipe), code, output, references=references)
    if base:
        request = extending(request, base)
    version = corpus_version(request.inputs, recipe, code, references, request.base)
    request = replace(request, version=version)
    uri = join(request.root_uri, "request.json")
    if STORE.exists(uri) and STORE.read(uri) != canonical_json(request):
        raise InputError(
            "this folder holds another corpus",
            where=request.root_uri,
            expected="the same shards, recipe and code, or an empty folder",
            remedy="choose another output folder, or remove this one",
        )
    STORE.write(uri, canonical_json(request))
    return uri


def main(argv: Sequence[str] | None = None) -> int:
    """Build a corpus from ``--request`` or ``--input`` and ``--output``. Return 0 if stages are complete."""
    started = time.monotonic()
    arguments = _parser().parse_args(argv)
    uri = absolute(arguments.request) if arguments.request else None
    if uri is None:
        try:
            base = absolute(arguments.base) if arguments.base else ""
            source, output = absolute(arguments.input), absolute(arguments.output)
            uri = request_for(source, output, _recipe(arguments), base)
        except NexusError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
    until, dedup_tasks = Stage(arguments.until), DedupTasks(arguments.dedup_tasks)
    return run_with_session(
        "build_corpus", lambda spark: build_corpus(spark, uri, until, started, dedup_tasks)
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="build_corpus", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--request", help="URI of a CorpusRequest")
    what.add_argument("--input", help="folder or s3://bucket/prefix/ of shards")
    parser.add_argument("--output", default="build/corpus", help="folder of the corpus (with --input)")
    parser.add_argument("--base", default="", help="a complete corpus to extend by the shards it lacks")
    parser.add_argument("--recipe", default="standard", help="packaged recipe, or a .toml (with --input)")
    parser.add_argument("--profile", default="", help="packaged near dedup profile instead of the recipe's")
    parser.add_argument("--verify", action="store_true", help="drop near duplicates only by exact similarity")
    parser.add_argument(
        "--tokenizer", default="", help="a tokenizer.json instead of one trained on the corpus"
    )
    parser.add_argument("--end-of-text", default="", help="the token that ends a document (with --tokenizer)")
    stages = [stage.value for stage in Stage]
    parser.add_argument("--until", default=Stage.TOKENISE.value, choices=stages, help="the last stage")
    parser.add_argument(
        "--dedup-tasks",
        default=DedupTasks.AUTO.value,
        choices=[tasks.value for tasks in DedupTasks],
        help="find duplicates in one task or in many (auto: by the size); the result is the same",
    )
    return parser


def _recipe(arguments: argparse.Namespace) -> CorpusRecipe:
    if arguments.recipe.endswith(".toml"):
        text = STORE.read(absolute(arguments.recipe)).decode()
        recipe = recipe_from_toml(CorpusRecipe, text, where=arguments.recipe)
    else:
        recipe = packaged_recipe(CorpusRecipe, "corpora", arguments.recipe)
    if arguments.profile:
        recipe = with_profile(recipe, arguments.profile)
    if arguments.verify:
        recipe = replace(recipe, near_dedup=replace(recipe.near_dedup, verify=True))
    tokenizer = recipe.tokenizer
    if arguments.tokenizer:
        tokenizer = replace(tokenizer, uri=absolute(arguments.tokenizer))
    if arguments.end_of_text:
        tokenizer = replace(tokenizer, end_of_text=arguments.end_of_text)
    return replace(recipe, tokenizer=tokenizer)


if __name__ == "__main__":
    raise SystemExit(main())
