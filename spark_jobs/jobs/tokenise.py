"""Documents to Megatron token shards, and the manifest of the corpus version, written last.

spark-submit --py-files spark_jobs.zip tokenise.py --request s3://…/request.json
python -m spark_jobs.jobs.tokenise --request build/corpus/request.json
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from include.contracts.documents import Stage
from include.contracts.errors import ContractError, InputError
from include.contracts.manifests import (
    CorpusManifest,
    CorpusRequest,
    FileEntry,
    ParentRef,
    StageReport,
    SubsetCounts,
)
from include.contracts.records import content_hash
from include.recipes.corpus import CorpusRecipe
from spark_jobs import storage
from spark_jobs.corpus_version.base import Base, adopt, extended, load_base
from spark_jobs.corpus_version.layout import VersionLayout, load_records, load_request
from spark_jobs.dedup.output import OutputPart
from spark_jobs.runtime import progress
from spark_jobs.runtime.entry import end, run_job
from spark_jobs.tokens.engine import choose_engine
from spark_jobs.tokens.megatron import token_dtype
from spark_jobs.tokens.shards import (
    Run,
    ShardPlan,
    first_bytes,
    plan_shards,
    sample_texts,
    tokenise_file,
    write_shard,
)
from spark_jobs.tokens.tokenizer import LoadedTokenizer, check_tokenizer, train_tokenizer, transformers_files

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: The sample is drawn a little too large and then cut, because texts differ in length.
_SAMPLE_MARGIN = 1.2
#: What the engines are compared on.
_VERIFIED_FILES, _VERIFIED_DOCUMENTS, _VERIFIED_CHARACTERS = 8, 25, 4_000


def tokenise(spark: SparkSession, request_uri: str) -> dict[str, Any]:
    """Complete the corpus version unless its manifest exists; what the manifest says, in short."""
    request, recipe, layout = load_request(request_uri)
    manifest = layout.load_manifest()
    if manifest is None:
        parent = ParentRef(request_uri, content_hash(storage.read_bytes(request_uri)))
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
        storage.delete_prefix(folder)
    base = load_base(request)
    if base is None:
        tokenizer, tokenizer_files = _tokenizer(spark, recipe, layout, outputs)
    else:
        tokenizer, tokenizer_files = _tokenizer_of_base(base, recipe, layout)
    trained = time.monotonic() - started
    uris = _texts(layout, outputs)
    choice = choose_engine(tokenizer, _verified_texts(uris))
    if choice.reason:
        print(f"tokenise: by Hugging Face tokenizers, slower: {choice.reason}", file=sys.stderr, flush=True)
    encode_file = partial(tokenise_file, layout, tokenizer, choice.engine, recipe.shard_tokens)
    by_file = progress.run_tasks(spark, Stage.TOKENISE, "files", encode_file, uris)
    training, held_out = _plans(layout, recipe, uris, by_file, base)
    dtype = token_dtype(tokenizer.vocabulary_size)
    written = progress.run_tasks(
        spark, "shards", "shards", partial(write_shard, layout, dtype), [*training, *held_out]
    )
    details = {
        "seconds": {"tokenizer": round(trained, 2)},
        "engine": choice.engine.value,
        "engine_reason": choice.reason,
        "tokens": _tokens(training),
        "tokens_held_out": _tokens(held_out),
    }
    tokenised = sum(plan.shard.documents for plan in (*training, *held_out))
    layout.save_report(StageReport(Stage.TOKENISE, kept, tokenised, {}, time.monotonic() - started, details))
    manifest = CorpusManifest(
        version=request.version,
        root_uri=request.root_uri,
        request=parent,
        documents_in=layout.completed(Stage.READ).documents_in,
        documents_kept=kept,
        documents_held_out=sum(output.held_out for output in outputs),
        dropped=_dropped(layout),
        scrubbed=layout.completed(Stage.SCRUB).details.get("replaced", {}),
        tokens=_tokens(training),
        tokens_held_out=_tokens(held_out),
        subsets=_subsets(training, held_out),
        tokenizer_sha256=content_hash(tokenizer.content.encode()),
        vocabulary_size=tokenizer.vocabulary_size,
        token_dtype=dtype,
        end_of_text_id=tokenizer.end_of_text_id,
        shards=tuple(plan.shard for plan in training),
        held_out_shards=tuple(plan.shard for plan in held_out),
        files=_files(outputs, tokenizer_files, written),
    )
    if base is not None:
        manifest = extended(manifest, base.manifest)
    _report(layout, manifest)
    layout.save_manifest(manifest)
    return manifest


def _texts(layout: VersionLayout, outputs: Sequence[OutputPart]) -> list[str]:
    """Files of this version's own documents, held-out ones among them."""
    folders = (f"{layout.relative(layout.documents)}/", f"{layout.relative(layout.held_out)}/")
    paths = (file.path for output in outputs for file in output.files)
    return [storage.join(layout.root, path) for path in paths if path.startswith(folders)]


def _tokenizer_of_base(
    base: Base, recipe: CorpusRecipe, layout: VersionLayout
) -> tuple[LoadedTokenizer, list[FileEntry]]:
    """Tokens of a version are of one tokenizer: the base's, which is adopted with its tokens."""
    entries = adopt(layout, base, layout.tokens, layout.held_out_tokens, layout.tokenizer)
    content = storage.read_bytes(storage.join(layout.tokenizer, "tokenizer.json"))
    wanted = recipe.tokenizer.uri
    if wanted and storage.read_bytes(wanted) != content:
        raise ContractError(
            "not the tokenizer of the base",
            where=wanted,
            expected="the bytes that the base was tokenised with",
            remedy="give that tokenizer, or build the corpus without the base",
        )
    return check_tokenizer(content, recipe.tokenizer.end_of_text, "the tokenizer of the base"), entries


def _tokenizer(
    spark: SparkSession, recipe: CorpusRecipe, layout: VersionLayout, outputs: Sequence[OutputPart]
) -> tuple[LoadedTokenizer, list[FileEntry]]:
    wanted = recipe.tokenizer
    if not any(output.documents for output in outputs):
        raise InputError(
            "no document is left to train on",
            where=layout.root,
            remedy="see the stage reports for what was dropped, then change the shards or the recipe",
        )
    content = storage.read_bytes(wanted.uri) if wanted.uri else _train(spark, recipe, layout, outputs)
    tokenizer = check_tokenizer(content, wanted.end_of_text, wanted.uri or "the trained tokenizer")
    files = {"tokenizer.json": content, **transformers_files(wanted.end_of_text)}
    entries = []
    for name, file_content in sorted(files.items()):
        file = storage.write_bytes(storage.join(layout.tokenizer, name), file_content)
        entries.append(FileEntry(layout.relative(file.uri), file.size_bytes, file.sha256))
    return tokenizer, entries


def _train(
    spark: SparkSession, recipe: CorpusRecipe, layout: VersionLayout, outputs: Sequence[OutputPart]
) -> bytes:
    limit = recipe.tokenizer.max_training_bytes
    share = min(1.0, _SAMPLE_MARGIN * limit / sum(output.text_bytes for output in outputs))
    names = [
        PurePosixPath(file.path).name
        for output in outputs
        for file in output.files
        if file.path.startswith(layout.relative(layout.documents))
    ]
    sampled = progress.run_tasks(spark, "tokenizer", "files", partial(sample_texts, layout, share), names)
    return train_tokenizer(
        first_bytes((text for texts in sampled for text in texts), limit), recipe.tokenizer
    )


def _report(layout: VersionLayout, manifest: CorpusManifest) -> None:
    """The page for people, before the manifest: a version that is whole lacks it only where it failed."""
    from spark_jobs.report.page import write_page  # matplotlib takes its time

    try:
        print(f"report: {write_page(layout, manifest)}", flush=True)
    except Exception as error:
        print(f"no report ({type(error).__name__}: {error}); try `make report`", file=sys.stderr, flush=True)


def _verified_texts(uris: Sequence[str]) -> list[str]:
    """The texts on which the engines must agree: the beginning of a few files of documents."""
    texts: list[str] = []
    for uri in uris[:: max(1, -(-len(uris) // _VERIFIED_FILES))]:
        with storage.local_copy(uri) as path, pq.ParquetFile(path) as file:
            batch = next(file.iter_batches(batch_size=_VERIFIED_DOCUMENTS, columns=["text"]))
            texts += [text[:_VERIFIED_CHARACTERS] for text in batch.column("text").to_pylist()]
    return texts


def _plans(
    layout: VersionLayout,
    recipe: CorpusRecipe,
    uris: Sequence[str],
    by_file: Sequence[list[Run]],
    base: Base | None,
) -> tuple[list[ShardPlan], list[ShardPlan]]:
    plans = []
    for source, target, taken in (
        (layout.documents, layout.tokens, base.manifest.shards if base else ()),
        (layout.held_out, layout.held_out_tokens, base.manifest.held_out_shards if base else ()),
    ):
        runs = [
            run
            for uri, file_runs in zip(uris, by_file, strict=True)
            if uri.startswith(source.rstrip("/") + "/")
            for run in file_runs
        ]
        plans.append(plan_shards(target, runs, recipe.shard_tokens, taken))
    return plans[0], plans[1]


def _dropped(layout: VersionLayout) -> dict[str, dict[str, int]]:
    reports = [layout.completed(stage) for stage in Stage]
    return {report.stage: report.dropped for report in reports if report.dropped}


def _tokens(plans: Sequence[ShardPlan]) -> int:
    return sum(plan.shard.tokens for plan in plans)


def _subsets(training: Sequence[ShardPlan], held_out: Sequence[ShardPlan]) -> dict[str, SubsetCounts]:
    counts: dict[str, Counter[str]] = {}
    for plans, suffix in ((training, ""), (held_out, "_held_out")):
        for plan in plans:
            subset = counts.setdefault(plan.shard.subset, Counter())
            subset[f"documents{suffix}"] += plan.shard.documents
            subset[f"tokens{suffix}"] += plan.shard.tokens
            subset[f"text_bytes{suffix}"] += sum(run.text_bytes for run in plan.runs)
    return {
        name: SubsetCounts(
            subset["documents"],
            subset["documents_held_out"],
            subset["text_bytes"],
            subset["tokens"],
            subset["tokens_held_out"],
        )
        for name, subset in sorted(counts.items())
    }


def _files(
    outputs: Sequence[OutputPart], tokenizer: Sequence[FileEntry], written: Sequence[Sequence[FileEntry]]
) -> tuple[FileEntry, ...]:
    entries = [*tokenizer]
    for output in outputs:
        entries.extend(output.files)
    for files in written:
        entries.extend(files)
    return tuple(sorted(entries, key=lambda entry: entry.path))


def main(argv: Sequence[str] | None = None) -> int:
    """``--request URI``; 0 when the manifest is written."""
    return run_job("tokenise", tokenise, argv, __doc__)


if __name__ == "__main__":
    end(main())
