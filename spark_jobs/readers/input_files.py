"""Finds the shards in a folder or S3 prefix, and the reason for each file that is left out.

    python -m spark_jobs.readers.input_files FOLDER

prints one JSON object ``{"accepted": [path, …], "left_out": {path: reason}}``. Some files are
left out by name, with the same rules as in corpus_refresh. All others are judged by their contents.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from include.contracts.errors import NexusError
from include.contracts.manifests import RawShard
from include.contracts.shard_names import companion_reason, left_out_by_name, signals_name, version_folders
from include.contracts.storage import CONTROL_PREFIXES
from include.object_store import STORE, AccessDenied
from include.object_store.locations import is_s3, local_path
from spark_jobs.readers.compression import plain_blocks
from spark_jobs.readers.formats import TEXT_KEYS, Companion, Unpacked, companion_of, unpack
from spark_jobs.readers.input_folder import find_files, shard_name
from spark_jobs.readers.sampling import Sample, sample

_NO_JSON = "neither JSON lines nor parquet, plain or compressed"
_SHOWN_BYTES = 40


@dataclass
class Inputs:
    """URIs of shards, sorted, and what is left out with the reasons."""

    accepted: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


def inputs_of(folder: str) -> Inputs:
    """Find the shards below a folder or S3 prefix. Raises InputError if there is no file."""
    found = find_files(folder)
    inputs = list_shards(found.files, folder)
    inputs.left_out |= found.left_out
    return inputs


def list_shards(uris: Iterable[str], folder: str = "") -> Inputs:
    """Sort files that lie below ``folder``; quality signals count as shards next to their documents."""
    found = sorted(uris)
    below = f"{folder.rstrip('/')}/" if folder else ""
    inputs = Inputs()
    for uri in found:
        if is_s3(uri) and uri.split("/", 3)[3].startswith(CONTROL_PREFIXES):
            inputs.left_out[uri] = "kept by source_ingestion"
    inputs.left_out |= left_out_by_name([uri for uri in found if uri not in inputs.left_out], below)
    signals: list[str] = []
    for uri in (uri for uri in found if uri not in inputs.left_out):
        if (verdict := _judge(uri)) is None:
            inputs.accepted.append(uri)
        elif verdict is Companion.QUALITY_SIGNALS:
            signals.append(uri)
        else:
            inputs.left_out[uri] = verdict
    wanted = {signals_name(uri) for uri in inputs.accepted}
    for uri in signals:
        if uri in wanted:
            inputs.accepted.append(uri)
        else:
            inputs.left_out[uri] = "quality signals without their documents"
    inputs.accepted.sort()
    _fold_versions(inputs, version_folders(found))
    return inputs


def raw_shard(uri: str, folder: str = "") -> RawShard:
    """Return a shard as a request names it; ``folder`` is the input folder that it lies below."""
    found = STORE.stat(uri)
    return RawShard(uri, found.size_bytes, found.etag, shard_name(folder, uri) if folder else "")


def _fold_versions(inputs: Inputs, versions: Iterable[str]) -> None:
    """Name a corpus version once instead of each of its files."""
    for version in versions:
        for uri in [uri for uri in inputs.left_out if uri.startswith(f"{version}/")]:
            del inputs.left_out[uri]
        inputs.left_out[version] = "a corpus version, by the names of its files"


def _judge(uri: str) -> Companion | str | None:
    """Return None for a shard; the companion, or the reason why the file is left out."""
    try:
        with STORE.open(uri) as stream:
            found = unpack(plain_blocks(stream))
            if found.is_parquet:
                return _judge_columns(uri)
            return _judge_text(uri, found)
    except AccessDenied:
        if is_s3(uri):  # the role lacks a permission that it needs for every file
            raise
        return "cannot be read: access denied"
    except OSError as error:  # of a disk: S3's errors are translated by the store
        return f"cannot be read: {error.strerror}"


def _judge_text(uri: str, found: Unpacked) -> Companion | str | None:
    if found.other:
        return found.other
    if found.is_blank:
        # blank lines of a .jsonl are an empty shard; any other empty file says nothing
        return None if found.head and ".json" in uri.rpartition("/")[2] else "empty"
    seen = sample(found)
    if seen.has_text:
        return None
    if not seen.records:
        # a damaged shard, or one with a record longer than the sample: the corpus counts what it holds
        is_shard = found.starts_as_json or (seen.is_damaged and not found.head.strip())
        return None if is_shard else _NO_JSON + _beginning(found.head)
    if not seen.objects:
        return f"no JSON object among {_seen(seen)}"
    if companion := companion_of(seen.keys):
        return companion if companion is Companion.QUALITY_SIGNALS else companion_reason(companion.value)
    return (
        f"no text field in {_seen(seen)} (expected one of {', '.join(TEXT_KEYS)}; found {_named(seen.keys)})"
    )


def _judge_columns(uri: str) -> Companion | str | None:
    """Judge parquet by its columns: in S3 not at all, as its footer is at the other end."""
    if is_s3(uri):
        return None
    try:
        columns = pq.read_schema(local_path(uri)).names
    except (pa.ArrowException, OSError, ValueError):
        return None  # a damaged shard is a shard: the corpus counts it
    if any(key in columns for key in TEXT_KEYS):
        return None
    if companion := companion_of(columns):
        return companion if companion is Companion.QUALITY_SIGNALS else companion_reason(companion.value)
    return f"no text column (expected one of {', '.join(TEXT_KEYS)}; found {_named(columns)})"


def _seen(seen: Sample) -> str:
    if not seen.is_whole:
        return f"its first {seen.records} records"
    return f"its {seen.records} records" if seen.records > 1 else "its one record"


def _named(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)[:8]) or "none"


def _beginning(head: bytes) -> str:
    """Show how a file begins if that is text."""
    line = head.strip().partition(b"\n")[0][:_SHOWN_BYTES].decode(errors="replace")
    return f" (it begins with {line!r})" if line and line.isprintable() and "\ufffd" not in line else ""


def main(argv: Sequence[str] | None = None) -> int:
    """Print the shards of ``FOLDER``; return 0 if there is one, else 2."""
    parser = argparse.ArgumentParser(prog="spark_jobs.readers.input_files", description=__doc__)
    parser.add_argument("folder")
    folder: str = parser.parse_args(argv).folder
    try:
        inputs = inputs_of(folder)
    except NexusError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    answer = {"accepted": inputs.accepted, "left_out": inputs.left_out}
    print(json.dumps(answer, indent=1, ensure_ascii=False))
    if not inputs.accepted:
        print(f"error: {folder}: no shard among {len(inputs.left_out)} files", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
