"""The manifest of a corpus version, made from the reports of its stages and the plans of its token shards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from include.contracts.documents import Stage
from include.contracts.manifests import CorpusManifest, CorpusRequest, FileEntry, ParentRef, SubsetCounts
from include.contracts.records import content_hash
from spark_jobs.corpus_version.layout import VersionLayout
from spark_jobs.tokens.megatron import token_dtype
from spark_jobs.tokens.shards import ShardPlan, count_documents, count_tokens
from spark_jobs.tokens.tokenizer import LoadedTokenizer


def make_manifest(
    request: CorpusRequest,
    parent: ParentRef,
    layout: VersionLayout,
    tokenizer: LoadedTokenizer,
    training: Sequence[ShardPlan],
    held_out: Sequence[ShardPlan],
    files: Iterable[FileEntry],
) -> CorpusManifest:
    """Return the manifest of what the jobs of ``request`` made, without the files and counts of its base.

    ``parent`` is the reference of the request. Raises ContractError if documents do not add up.
    """
    return CorpusManifest(
        version=request.version,
        root_uri=request.root_uri,
        request=parent,
        documents_in=layout.completed(Stage.READ).documents_in,
        documents_kept=count_documents([*training, *held_out]),
        documents_held_out=count_documents(held_out),
        dropped=_dropped(layout),
        scrubbed=layout.completed(Stage.SCRUB).details.get("replaced", {}),
        tokens=count_tokens(training),
        tokens_held_out=count_tokens(held_out),
        subsets=_subsets(training, held_out),
        tokenizer_sha256=content_hash(tokenizer.content.encode()),
        vocabulary_size=tokenizer.vocabulary_size,
        token_dtype=token_dtype(tokenizer.vocabulary_size),
        end_of_text_id=tokenizer.end_of_text_id,
        shards=tuple(plan.shard for plan in training),
        held_out_shards=tuple(plan.shard for plan in held_out),
        files=tuple(sorted(files, key=lambda entry: entry.path)),
    )


def _dropped(layout: VersionLayout) -> dict[str, dict[str, int]]:
    reports = [layout.completed(stage) for stage in Stage]
    return {report.stage: report.dropped for report in reports if report.dropped}


def _subsets(training: Sequence[ShardPlan], held_out: Sequence[ShardPlan]) -> dict[str, SubsetCounts]:
    counts: dict[str, Counter[str]] = {}
    for plans, suffix in ((training, ""), (held_out, "_held_out")):
        for plan in plans:
            subset = counts.setdefault(plan.shard.subset, Counter())
            subset[f"documents{suffix}"] += plan.shard.documents
            subset[f"tokens{suffix}"] += plan.shard.tokens
            subset[f"text_bytes{suffix}"] += sum(segment.text_bytes for segment in plan.segments)
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
