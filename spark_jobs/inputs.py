"""Sort a folder's files into shards and what is left out, each with its reason.

    python -m spark_jobs.inputs FOLDER

prints one JSON object ``{"accepted": [path, …], "left_out": {path: reason}}``. Contents decide, not names.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from include.contracts.errors import InputError, NexusError
from include.contracts.manifests import RawShard
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
    signals_name,
)


def list_shards(paths: Iterable[Path]) -> tuple[list[Path], dict[Path, str]]:
    """Shards and left-out files with the reason; quality signals count as shards beside their documents."""
    accepted: list[Path] = []
    left_out: dict[Path, str] = {}
    signals: list[Path] = []
    for path in sorted(paths):
        if path.name.startswith("."):
            left_out[path] = "a hidden file"
        elif (verdict := _judge(path)) is None:
            accepted.append(path)
        elif verdict is Companion.QUALITY_SIGNALS:
            signals.append(path)
        else:
            left_out[path] = verdict
    wanted = {signals_name(str(path)) for path in accepted}
    for path in signals:
        if str(path) in wanted:
            accepted.append(path)
        else:
            left_out[path] = "quality signals without their documents"
    return sorted(accepted), left_out


def folder_files(folder: Path) -> list[Path]:
    """All files below a folder; InputError when there is none."""
    if not folder.is_dir():
        raise InputError("no such folder", where=str(folder), remedy="give a folder of shards")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not files:
        raise InputError("the folder is empty", where=str(folder), remedy="put shards into it")
    return files


def raw_shard(path: Path) -> RawShard:
    """A local shard as a request names it."""
    found = storage.stat(str(path))
    return RawShard(str(path), found.size_bytes, found.etag)


def _judge(path: Path) -> Companion | str | None:
    """None for a shard; the companion, or the reason why the file is left out."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    container = container_of(head)
    if container is None:
        return "neither JSON lines nor parquet, plain or compressed"
    if container is Container.EMPTY:
        # an empty .jsonl is an empty shard; any other empty file says nothing
        return None if ".json" in path.name else "empty"
    keys = (
        _columns(path) if container is Container.PARQUET else first_record_keys(first_lines(head, container))
    )
    if keys is None:
        return "no JSON record at its beginning"
    companion = companion_of(keys)
    if companion is Companion.QUALITY_SIGNALS:
        return companion
    if companion:
        return f"a RedPajama v2 {companion.value} file: it stands beside documents and holds none"
    if not any(key in keys for key in TEXT_KEYS):
        return f"no text field (expected one of {', '.join(TEXT_KEYS)}; found {', '.join(sorted(keys)[:8])})"
    return None


def _columns(path: Path) -> frozenset[str] | None:
    try:
        return frozenset(pq.read_schema(path).names)
    except (pa.ArrowException, OSError):
        return frozenset(TEXT_KEYS)  # a damaged shard is a shard: the corpus counts it


def main(argv: Sequence[str] | None = None) -> int:
    """``FOLDER``; 0 when it holds at least one shard, else 2."""
    parser = argparse.ArgumentParser(prog="spark_jobs.inputs", description=__doc__)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args(argv).folder
    try:
        accepted, left_out = list_shards(folder_files(folder))
    except NexusError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    answer = {
        "accepted": [str(path) for path in accepted],
        "left_out": {str(path): reason for path, reason in left_out.items()},
    }
    print(json.dumps(answer, indent=1, ensure_ascii=False))
    if not accepted:
        print(f"error: {folder}: no shard among {len(left_out)} files", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
