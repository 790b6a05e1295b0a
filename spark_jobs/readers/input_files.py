"""Sort the files of a folder or S3 prefix into shards and what is left out, each with its reason.

    python -m spark_jobs.readers.input_files FOLDER

prints one JSON object ``{"accepted": [path, …], "left_out": {path: reason}}``. A name may say that a file is
no shard, by the rule that corpus_refresh knows too; contents decide about the rest.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from include.contracts.errors import InputError, NexusError
from include.contracts.manifests import RawShard
from include.contracts.shard_names import companion_reason, left_out_by_name, signals_name
from include.contracts.storage import CONTROL_PREFIXES, S3Uri
from spark_jobs import storage
from spark_jobs.readers.formats import (
    HEAD_BYTES,
    TEXT_KEYS,
    Companion,
    Container,
    companion_of,
    container_of,
    first_lines,
    first_record_keys,
)


def list_shards(uris: Iterable[str]) -> tuple[list[str], dict[str, str]]:
    """Shards and left-out files with the reason; quality signals count as shards beside their documents."""
    found = sorted(uris)
    kept = [uri for uri in found if storage.is_s3(uri) and S3Uri.parse(uri).key.startswith(CONTROL_PREFIXES)]
    left_out = dict.fromkeys(kept, "kept by source_ingestion")
    left_out |= left_out_by_name([uri for uri in found if uri not in left_out])
    accepted: list[str] = []
    signals: list[str] = []
    for uri in (uri for uri in found if uri not in left_out):
        if (verdict := _judge(uri)) is None:
            accepted.append(uri)
        elif verdict is Companion.QUALITY_SIGNALS:
            signals.append(uri)
        else:
            left_out[uri] = verdict
    wanted = {signals_name(uri) for uri in accepted}
    for uri in signals:
        if uri in wanted:
            accepted.append(uri)
        else:
            left_out[uri] = "quality signals without their documents"
    return sorted(accepted), left_out


def files_below(folder: str) -> list[str]:
    """URIs of all files below a folder or an S3 prefix, sorted; InputError when there is none."""
    if not storage.is_s3(folder) and not storage.local_path(folder).is_dir():
        raise InputError(
            "no such folder", where=folder, remedy="give a folder of shards, or s3://bucket/prefix/"
        )
    files = storage.list_files(folder)
    if not files:
        raise InputError("the folder is empty", where=folder, remedy="put shards into it")
    return files


def raw_shard(uri: str) -> RawShard:
    """A shard as a request names it."""
    found = storage.stat(uri)
    return RawShard(uri, found.size_bytes, found.etag)


def _judge(uri: str) -> Companion | str | None:
    """None for a shard; the companion, or the reason why the file is left out."""
    with storage.open_stream(uri) as stream:
        head = stream.read(HEAD_BYTES)
    container = container_of(head)
    if container is None:
        return "neither JSON lines nor parquet, plain or compressed"
    if container is Container.EMPTY:
        # blank lines of a .jsonl are an empty shard; any other empty file says nothing
        return None if head and ".json" in uri.rpartition("/")[2] else "empty"
    keys = (
        _columns(uri) if container is Container.PARQUET else first_record_keys(first_lines(head, container))
    )
    if keys is None:
        return "no JSON record at its beginning"
    companion = companion_of(keys)
    if companion is Companion.QUALITY_SIGNALS:
        return companion
    if companion:
        return companion_reason(companion.value)
    if not any(key in keys for key in TEXT_KEYS):
        return f"no text field (expected one of {', '.join(TEXT_KEYS)}; found {', '.join(sorted(keys)[:8])})"
    return None


def _columns(uri: str) -> frozenset[str]:
    if storage.is_s3(uri):
        return frozenset(TEXT_KEYS)  # its footer is at the other end: the corpus counts what is none
    try:
        return frozenset(pq.read_schema(storage.local_path(uri)).names)
    except (pa.ArrowException, OSError):
        return frozenset(TEXT_KEYS)  # a damaged shard is a shard: the corpus counts it


def main(argv: Sequence[str] | None = None) -> int:
    """``FOLDER``; 0 when it holds at least one shard, else 2."""
    parser = argparse.ArgumentParser(prog="spark_jobs.readers.input_files", description=__doc__)
    parser.add_argument("folder")
    folder: str = parser.parse_args(argv).folder
    try:
        accepted, left_out = list_shards(files_below(folder))
    except NexusError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    answer = {"accepted": accepted, "left_out": left_out}
    print(json.dumps(answer, indent=1, ensure_ascii=False))
    if not accepted:
        print(f"error: {folder}: no shard among {len(left_out)} files", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
