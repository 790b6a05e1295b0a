"""Export the tokens of a complete corpus version to MDS for mosaicml-streaming, or to parquet.

python -m spark_jobs.tokens.export --corpus build/corpus --format mds --output build/mds

One sequence is one whole document with ``id`` and ``subset``; held-out tokens are exported only on request.
The output is ``<split>/`` with its files (and ``index.json`` of MDS), ``request.json`` first and
``manifest.json`` last: without it the export is not complete, and the same call repeats it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from include.contracts.errors import ContractError, InputError
from include.contracts.manifests import SCHEMA_VERSION, CorpusManifest, FileEntry, ParentRef, TokenShard
from include.contracts.records import canonical_json, content_hash
from include.object_store import STORE
from include.object_store.locations import absolute, join
from include.object_store.verification import content_entry
from spark_jobs.corpus_version.layout import VersionLayout
from spark_jobs.runtime import progress
from spark_jobs.runtime.entry import run_with_session
from spark_jobs.tokens.export_task import ExportedFile, ExportPlan, Format, Split, export_shard
from spark_jobs.tokens.mds import MdsLayout, index_json
from spark_jobs.tokens.sequences import ShardFiles

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_FILE_BYTES = 64 << 20
#: Offsets within a file of parquet are signed integers of 32 bits.
_MOST_FILE_BYTES = 1 << 31


@dataclass(frozen=True)
class ExportRequest:
    """The inputs of an export. ``file_bytes`` bounds a file before compression."""

    corpus: ParentRef
    format: Format
    splits: tuple[Split, ...]
    file_bytes: int
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        if not 1 <= self.file_bytes <= _MOST_FILE_BYTES:
            raise InputError(
                "impossible size of a file",
                where="--file-bytes",
                expected=f"1 to {_MOST_FILE_BYTES}",
                got=str(self.file_bytes),
            )


@dataclass(frozen=True)
class ExportManifest:
    """``manifest.json`` of an export, its last file; paths are relative to its folder."""

    request: ExportRequest
    corpus_version: str
    tokenizer_sha256: str
    vocabulary_size: int
    token_dtype: str
    end_of_text_id: int
    documents: int
    tokens: int
    files: tuple[FileEntry, ...]
    schema_version: int = SCHEMA_VERSION


def export_tokens(
    spark: SparkSession,
    corpus: str,
    output: str,
    format_: Format,
    splits: Sequence[Split] = (Split.TRAINING,),
    file_bytes: int = _FILE_BYTES,
) -> dict[str, Any]:
    """Export unless it is complete already. Return documents, tokens, bytes and seconds."""
    started = time.monotonic()
    layout = VersionLayout(corpus)
    source = layout.load_manifest()
    if source is None:
        raise InputError(
            "no complete corpus version",
            where=corpus,
            expected="a folder or S3 prefix with manifest.json",
            remedy="give the folder of a corpus, or finish it with the command that began it",
        )
    parent = ParentRef(layout.manifest, content_hash(STORE.read(layout.manifest)))
    request = ExportRequest(parent, format_, tuple(sorted(set(splits))), file_bytes)
    items = [(split, files) for split in request.splits for files in _shards(source, split, corpus)]
    manifest = _claim(output, request)
    if manifest is None:
        manifest = _export(spark, request, source, items, corpus, output)
    else:
        print("progress: export skipped, complete", flush=True)
    return {
        "documents": manifest.documents,
        "tokens": manifest.tokens,
        "bytes": sum(file.size_bytes for file in manifest.files),
        "seconds": round(time.monotonic() - started, 2),
    }


def _claim(output: str, request: ExportRequest) -> ExportManifest | None:
    """Return the manifest of this export if it is complete; else claim the folder and return None.

    Raises InputError if the folder holds anything except a part of this export.
    """
    request_uri, manifest_uri = (join(output, name) for name in ("request.json", "manifest.json"))
    content = canonical_json(request)
    if files := STORE.uris(output):
        if not STORE.exists(request_uri) or STORE.read(request_uri) != content:
            raise InputError(
                "the output holds something else",
                where=output,
                expected="an empty folder, or this export of the same corpus by the same options",
                got=f"{len(files)} files, such as {files[0]}",
                remedy="choose another output, or remove this one",
            )
        if STORE.exists(manifest_uri):
            return STORE.read_record(ExportManifest, manifest_uri)
    for split in Split:  # an export that was interrupted leaves files
        STORE.delete_folder(join(output, split))
    STORE.write(request_uri, content)
    return None


def _export(
    spark: SparkSession,
    request: ExportRequest,
    source: CorpusManifest,
    items: Sequence[tuple[Split, ShardFiles]],
    corpus: str,
    output: str,
) -> ExportManifest:
    plan = ExportPlan(corpus, output, request.format, source.token_dtype, request.file_bytes)
    by_shard = progress.run_tasks(spark, "export", "shards", partial(export_shard, plan), items)
    exported = [file for files in by_shard for file in files]
    entries = [file.entry for file in exported]
    layout = plan.layout
    if isinstance(layout, MdsLayout):
        entries += [_write_index(output, layout, split, exported) for split in request.splits]
    manifest = ExportManifest(
        request=request,
        corpus_version=source.version,
        tokenizer_sha256=source.tokenizer_sha256,
        vocabulary_size=source.vocabulary_size,
        token_dtype=source.token_dtype,
        end_of_text_id=source.end_of_text_id,
        documents=sum(file.documents for file in exported),
        tokens=sum(file.tokens for file in exported),
        files=tuple(sorted(entries, key=lambda entry: entry.path)),
    )
    STORE.write(join(output, "manifest.json"), canonical_json(manifest))
    return manifest


def _write_index(output: str, layout: MdsLayout, split: Split, exported: Sequence[ExportedFile]) -> FileEntry:
    shards = [(file.entry, file.documents) for file in exported if file.entry.path.startswith(f"{split}/")]
    name = f"{split}/index.json"
    content = index_json(layout, shards)
    STORE.write(join(output, name), content)
    return content_entry(content, name)


def _shards(source: CorpusManifest, split: Split, corpus: str) -> list[ShardFiles]:
    """Return the shards of a split with their files. Raises InputError if it has none."""
    shards: tuple[TokenShard, ...] = source.shards if split is Split.TRAINING else source.held_out_shards
    if not shards:
        raise InputError("the corpus has no document in this split", where=f"{corpus}: {split}")
    entries = {entry.path: entry for entry in source.files}
    try:
        return [
            ShardFiles(
                shard,
                entries[f"{split}/{shard.name}.bin"],
                entries[f"{split}/{shard.name}.documents.parquet"],
            )
            for shard in shards
        ]
    except KeyError as error:
        raise ContractError(
            "the manifest names a shard without its file", where=corpus, expected=str(error.args[0])
        ) from error


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Return 0 if the export is complete, 2 after a readable error."""
    parser = argparse.ArgumentParser(prog="export_tokens", description=__doc__)
    parser.add_argument("--corpus", required=True, help="folder or s3:// prefix of a complete version")
    parser.add_argument("--format", required=True, type=Format, choices=list(Format))
    parser.add_argument("--output", required=True, help="folder or s3:// prefix, empty or of this export")
    parser.add_argument("--split", nargs="+", type=Split, choices=list(Split), default=[Split.TRAINING])
    parser.add_argument("--file-bytes", type=int, default=_FILE_BYTES, help="before compression, at most")
    options = parser.parse_args(argv)
    corpus, output = absolute(options.corpus), absolute(options.output)
    return run_with_session(
        "export_tokens",
        lambda spark: export_tokens(spark, corpus, output, options.format, options.split, options.file_bytes),
    )


if __name__ == "__main__":
    raise SystemExit(main())
