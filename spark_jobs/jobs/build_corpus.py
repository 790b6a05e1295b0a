"""All jobs in one Spark session: raw shards to a token dataset on this machine.

python -m spark_jobs.jobs.build_corpus --request build/corpus/request.json
python -m spark_jobs.jobs.build_corpus --input shards/ --output build/corpus/ [--recipe standard]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.contracts.errors import InputError, NexusError
from include.contracts.manifests import CorpusRequest
from include.contracts.records import canonical_json, content_hash, to_plain
from include.recipes.corpus import CorpusRecipe
from include.recipes.loading import packaged_recipe
from spark_jobs import storage
from spark_jobs.entry import run_with_session
from spark_jobs.inputs import folder_files, list_shards, raw_shard
from spark_jobs.jobs.clean import clean
from spark_jobs.jobs.deduplicate import deduplicate
from spark_jobs.jobs.tokenise import tokenise

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def build_corpus(spark: SparkSession, request_uri: str) -> dict[str, Any]:
    """Run what is not complete yet; the three summaries by job."""
    return {
        "clean": clean(spark, request_uri),
        "deduplicate": deduplicate(spark, request_uri),
        "tokenise": tokenise(spark, request_uri),
    }


def request_for(folder: Path, output: Path, recipe: CorpusRecipe) -> str:
    """Write the request for a folder of shards; its URI. What is left out is said on standard error."""
    accepted, left_out = list_shards(folder_files(folder))
    for path, reason in left_out.items():
        print(f"left out: {path}: {reason}", file=sys.stderr)
    inputs = tuple(raw_shard(path.resolve()) for path in accepted)
    version = content_hash(canonical_json([inputs, recipe]))[:16]
    request = CorpusRequest(version, inputs, to_plain(recipe), "", str(output.resolve()))
    uri = storage.join(request.root_uri, "request.json")
    if storage.exists(uri) and storage.read_bytes(uri) != canonical_json(request):
        raise InputError(
            "another corpus lies in this folder",
            where=request.root_uri,
            expected="the same shards and recipe as before, or an empty folder",
            remedy="choose another output folder, or remove this one",
        )
    storage.write_bytes(uri, canonical_json(request))
    return uri


def main(argv: Sequence[str] | None = None) -> int:
    """``--request URI``, or ``--input`` and ``--output`` folders; 0 when the manifest is written."""
    parser = argparse.ArgumentParser(prog="build_corpus", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--request", help="URI of a CorpusRequest")
    what.add_argument("--input", type=Path, help="folder of shards")
    parser.add_argument("--output", type=Path, help="folder of the corpus (with --input)")
    parser.add_argument("--recipe", default="standard", help="packaged corpus recipe (with --input)")
    arguments = parser.parse_args(argv)
    uri = arguments.request
    if uri is None:
        if arguments.output is None:
            parser.error("--input needs --output")
        try:
            recipe = packaged_recipe(CorpusRecipe, "corpora", arguments.recipe)
            uri = request_for(arguments.input, arguments.output, recipe)
        except NexusError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
    return run_with_session("build_corpus", lambda spark: build_corpus(spark, uri))


if __name__ == "__main__":
    raise SystemExit(main())
