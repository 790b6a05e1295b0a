"""Encode documents into Megatron token shards, then write the manifest of the corpus version.

spark-submit --py-files spark_jobs.zip tokenise.py --request s3://…/request.json
python -m spark_jobs.jobs.tokenise --request build/corpus/request.json
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from include.contracts.documents import DropReason, Stage
from include.contracts.errors import InputError
from include.contracts.manifests import CorpusManifest, CorpusRequest, ParentRef, StageReport
from include.contracts.records import content_hash
from include.object_store import STORE
from include.object_store.locations import join
from include.recipes.corpus import CorpusRecipe
from spark_jobs.corpus_version.base import Base, extended, load_base
from spark_jobs.corpus_version.layout import VersionLayout, load_records, load_request
from spark_jobs.corpus_version.manifest import make_manifest
from spark_jobs.dedup.output import OutputPart
from spark_jobs.runtime import progress
from spark_jobs.runtime.entry import end, run_job
from spark_jobs.tokens.encoding import Library, LibraryChoice, Losses, choose_library
from spark_jobs.tokens.file_task import Segment, TokenisedFile, tokenise_file
from spark_jobs.tokens.megatron import token_dtype
from spark_jobs.tokens.shards import ShardPlan, count_documents, count_tokens, plan_shards, write_shard
from spark_jobs.tokens.tokenizer import LoadedTokenizer
from spark_jobs.tokens.version_tokenizer import base_tokenizer, new_tokenizer

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def tokenise(spark: SparkSession, request_uri: str) -> dict[str, Any]:
    """Complete the corpus version unless its manifest exists. Return a summary of the manifest."""
    request, recipe, layout = load_request(request_uri)
    manifest = layout.load_manifest()
    if manifest is None:
        parent = ParentRef(request_uri, content_hash(STORE.read(request_uri)))
        manifest = _tokenise(spark, request, recipe, layout, parent)
    else:
        print("progress: tokenise skipped, complete", flush=True)
    layout.discard_work()
    return {
        "version": manifest.version,
        "documents_in": manifest.documents_in,
        "documents_kept": manifest.documents_kept,
        "documents_held_out": manifest.documents_held_out,
        "dropped": manifest.dropped,
        "tokens": manifest.tokens,
        "tokens_held_out": manifest.tokens_held_out,
        "seconds": {Stage.TOKENISE: round(layout.completed(Stage.TOKENISE).seconds, 2)},
    }


def _tokenise(
    spark: SparkSession,
    request: CorpusRequest,
    recipe: CorpusRecipe,
    layout: VersionLayout,
    parent: ParentRef,
) -> CorpusManifest:
    started = time.monotonic()
    kept = layout.completed(Stage.NEAR_DEDUP).documents_out
    outputs = load_records(OutputPart, layout.outputs_index)
    for folder in (layout.tokens, layout.held_out_tokens, layout.tokenizer, layout.work_tokens):
        STORE.delete_folder(folder)
    base = load_base(request)
    if base is None:
        tokenizer, tokenizer_files = new_tokenizer(spark, recipe, layout, outputs)
    else:
        tokenizer, tokenizer_files = base_tokenizer(base, recipe, layout)
    trained = time.monotonic() - started
    uris = _texts(layout, outputs)
    choice, files = _encode(spark, layout, tokenizer, recipe.shard_tokens, uris)
    training, held_out = _plans(layout, recipe, uris, files, base)
    if base is None and not training and not held_out:
        raise InputError(
            "no document has a token of the vocabulary",
            where=tokenizer.where,
            remedy="use a tokenizer for the language of the corpus, or leave tokenizer.uri empty",
        )
    dtype = token_dtype(tokenizer.vocabulary_size)
    written = progress.run_tasks(
        spark, "shards", "shards", partial(write_shard, layout, dtype), [*training, *held_out]
    )
    seconds = {"tokenizer": round(trained, 2)}
    details = {"seconds": seconds, **_details(tokenizer, choice, files, training, held_out)}
    tokenised, without = count_documents([*training, *held_out]), sum(file.dropped for file in files)
    dropped = {DropReason.NO_KNOWN_TOKEN.value: without} if without else {}
    ended = time.monotonic()
    layout.save_report(StageReport(Stage.TOKENISE, kept, tokenised, dropped, ended - started, details))
    parts = [tokenizer_files, *(output.files for output in outputs), *written]
    entries = [entry for part in parts for entry in part]
    manifest = make_manifest(request, parent, layout, tokenizer, training, held_out, entries)
    if base is not None:
        manifest = extended(manifest, base.manifest)
    _report(layout, manifest)
    layout.save_manifest(manifest)
    return manifest


def _texts(layout: VersionLayout, outputs: Sequence[OutputPart]) -> list[str]:
    """Return the files of this version's own documents, held-out ones among them."""
    folders = (f"{layout.relative(layout.documents)}/", f"{layout.relative(layout.held_out)}/")
    paths = (file.path for output in outputs for file in output.files)
    return [join(layout.root, path) for path in paths if path.startswith(folders)]


def _encode(
    spark: SparkSession, layout: VersionLayout, tokenizer: LoadedTokenizer, shard_tokens: int, uris: list[str]
) -> tuple[LibraryChoice, list[TokenisedFile]]:
    """Encode all files.

    If gigatoken gives other ids than Hugging Face tokenizers on a sample of a file, all files are encoded
    again by the latter.
    """
    choice = choose_library(tokenizer)
    while True:
        if choice.reason:
            slower = f"tokenise: by Hugging Face tokenizers, slower: {choice.reason}"
            print(slower, file=sys.stderr)
        task = partial(tokenise_file, layout, tokenizer, choice.library, shard_tokens)
        files = progress.run_tasks(spark, Stage.TOKENISE, "files", task, uris)
        difference = next((file.difference for file in files if file.difference), "")
        if not difference:
            return choice, files
        choice = LibraryChoice(Library.TOKENIZERS, difference)


def _details(
    tokenizer: LoadedTokenizer,
    choice: LibraryChoice,
    files: Sequence[TokenisedFile],
    training: Sequence[ShardPlan],
    held_out: Sequence[ShardPlan],
) -> dict[str, Any]:
    """Return the details of the stage's report."""
    return {
        "library": choice.library.value,
        "library_reason": choice.reason,
        "tokenizer_notes": list(tokenizer.notes),
        "tokens": count_tokens(training),
        "tokens_held_out": count_tokens(held_out),
        **_losses(tokenizer, files),
    }


def _losses(tokenizer: LoadedTokenizer, files: Sequence[TokenisedFile]) -> dict[str, int]:
    """Add up the characters that have no token of the vocabulary, and warn of them."""
    if tokenizer.covers_all_text:
        return {}
    losses = Losses()
    for file in files:
        losses = losses.plus(file.losses)
    if losses.unknown or losses.without_token:
        progress.warn(
            f"{losses.unknown} of {losses.characters} characters are unknown to the vocabulary and "
            f"{losses.without_token} have no token at all, white space not counted ({tokenizer.where})"
        )
    return {
        "characters": losses.characters,
        "characters_unknown": losses.unknown,
        "characters_without_token": losses.without_token,
    }


def _report(layout: VersionLayout, manifest: CorpusManifest) -> None:
    """Write the report page, before the manifest. A complete version lacks it only if this failed."""
    from spark_jobs.report.page import write_page  # imports matplotlib, which is slow

    try:
        print(f"report: {write_page(layout, manifest)}", flush=True)
    except Exception as error:
        print(f"no report ({type(error).__name__}: {error}); try `make report`", file=sys.stderr)


def _plans(
    layout: VersionLayout,
    recipe: CorpusRecipe,
    uris: Sequence[str],
    files: Sequence[TokenisedFile],
    base: Base | None,
) -> tuple[list[ShardPlan], list[ShardPlan]]:
    plans = []
    for source, target, taken in (
        (layout.documents, layout.tokens, base.manifest.shards if base else ()),
        (layout.held_out, layout.held_out_tokens, base.manifest.held_out_shards if base else ()),
    ):
        segments: list[Segment] = [
            segment
            for uri, file in zip(uris, files, strict=True)
            if uri.startswith(source.rstrip("/") + "/")
            for segment in file.segments
        ]
        plans.append(plan_shards(target, segments, recipe.shard_tokens, taken))
    return plans[0], plans[1]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the job for ``--request URI``. Return 0 if the manifest is written."""
    return run_job("tokenise", tokenise, argv, __doc__)


if __name__ == "__main__":
    end(main())
