from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spark_jobs.readers.input_files import files_below, list_shards, main

Write = Callable[[Path, Any], Path]
RECORDS = [{"text": "t", "meta": {"pile_set_name": "A"}}]


def test_a_folder_is_sorted_into_shards_and_what_is_left_out(
    tmp_path: Path, write_shard: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    noise = random.Random(1).randbytes(300_000).hex()
    shards = [
        write_shard(tmp_path / "a/lines.jsonl", RECORDS),
        write_shard(tmp_path / "a/packed.jsonl.gz", RECORDS),
        write_shard(tmp_path / "a/packed.jsonl.zst", [{"text": noise, "meta": {}}]),
        write_shard(tmp_path / "a/blank.jsonl", b"\n"),
        write_shard(tmp_path / "rp2/documents/2023-06/0000/en_head.json.gz", [{"raw_content": "t"}]),
        write_shard(
            tmp_path / "rp2/quality_signals/2023-06/0000/en_head.signals.json.gz", [{"quality_signals": {}}]
        ),
        tmp_path / "a/table.parquet",
    ]
    pq.write_table(pa.table({"text": ["t"]}), shards[-1])
    left_out = {
        write_shard(tmp_path / "README.md", b"# Read me"): "neither JSON lines nor parquet",
        write_shard(tmp_path / "numbers.csv", b"a,b\n1,2"): "neither JSON lines nor parquet",
        write_shard(tmp_path / "picture.png", b"\x89PNG\r\n"): "neither JSON lines nor parquet",
        write_shard(tmp_path / "settings.json", b'{"name": "x", "version": 1}'): "no text field",
        write_shard(tmp_path / ".hidden.jsonl", RECORDS): "hidden",
        write_shard(tmp_path / "__init__.py", b""): "empty",
        write_shard(tmp_path / "a/empty.jsonl", b""): "empty",
        write_shard(tmp_path / "a/dataset_info.json", RECORDS): "describes a data set",
        write_shard(tmp_path / "rp2/en_head.minhash.parquet", RECORDS): "minhash file",
        write_shard(tmp_path / "alone.signals.json.gz", [{"quality_signals": {}}]): "without their documents",
    }
    duplicates = tmp_path / "by_its_columns.parquet"
    pq.write_table(pa.table({"shard_id": ["a"], "doc_id": ["b"], "digest": ["c"]}), duplicates)
    accepted, rejected = list_shards(files_below(str(tmp_path)))
    assert accepted == sorted(map(str, shards))
    assert rejected.keys() == {str(path) for path in (*left_out, duplicates)}
    for path, reason in left_out.items():
        assert reason in rejected[str(path)], path
    assert "duplicates file" in rejected[str(duplicates)]
    assert main([str(tmp_path)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["accepted"] == accepted
    assert set(printed["left_out"]) == set(rejected)


@pytest.mark.parametrize("content", [None, b"no shard"])
def test_a_folder_without_shards_is_an_error(
    content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content:
        (tmp_path / "note.txt").write_bytes(content)
    assert main([str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err
    assert main([str(tmp_path / "missing")]) == 2


def test_real_shards_are_all_accepted() -> None:
    data = Path(__file__).parents[3] / "shared" / "data"
    if not data.is_dir():
        pytest.skip("no shared data here")
    for folder, count in (("pile", 3), ("redpajama", 5), ("ccnet", 2)):
        accepted, left_out = list_shards(files_below(str(data / folder)))
        assert (len(accepted), left_out) == (count, {})


def test_what_ingestion_keeps_and_quarantined_is_left_out_unread() -> None:
    kept = ["s3://raw/_ingestion/runs/r/manifest.json", "s3://raw/quarantine/the_pile/00.jsonl.zst"]
    assert list_shards(kept) == ([], dict.fromkeys(kept, "kept by source_ingestion"))
