from __future__ import annotations

import errno
import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.object_store import STORE
from spark_jobs.readers.input_files import inputs_of, list_shards, main

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
        write_shard(tmp_path / "picture.png", b"\x89PNG\r\n"): "a PNG picture",
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
    found = inputs_of(str(tmp_path))
    accepted, rejected = found.accepted, found.left_out
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
        found = inputs_of(str(data / folder))
        assert (len(found.accepted), found.left_out) == (count, {})


def test_what_ingestion_keeps_and_quarantined_is_left_out_unread() -> None:
    kept = ["s3://raw/_ingestion/runs/r/manifest.json", "s3://raw/quarantine/the_pile/00.jsonl.zst"]
    found = list_shards(kept)
    assert (found.accepted, found.left_out) == ([], dict.fromkeys(kept, "kept by source_ingestion"))


def judged(path: Path) -> str:
    """Return why the only file of a folder is left out; empty for a shard."""
    found = inputs_of(str(path.parent))
    assert len(found.accepted) + len(found.left_out) == 1
    return next(iter(found.left_out.values()), "")


LONG = "x" * 1_000_000


@pytest.mark.parametrize(
    "records",
    [
        [{"index": {"_id": 1}}, {"text": "t"}],
        [*[{"header": i} for i in range(5000)], {"text": "t"}],
        [{"html": LONG, "text": "t"}],
        [{"html": LONG * 40, "text": "t"}],
        [[1, 2], "three", {"text": "t"}],
        [{"text": None}, {"text": 5}],
    ],
)
@pytest.mark.parametrize("ending", ["jsonl", "json.gz"])
def test_more_than_the_first_record_decides(
    records: list[Any], ending: str, tmp_path: Path, write_shard: Write
) -> None:
    assert judged(write_shard(tmp_path / f"a.{ending}", records)) == ""


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (
            [{"index": 1}] * 3,
            "no text field in its 3 records (expected one of text, raw_content, content; found index)",
        ),
        (
            [{"b": 1}, {"a": 1}],
            "no text field in its 2 records (expected one of text, raw_content, content; found a, b)",
        ),
        ([{"a": 1}], "no text field in its one record (expected one of text, raw_content, content; found a)"),
        ([{"a": 1}] * 20_000, "no text field in its first 10000 records (expected"),
        ([[1, 2], [3]], "no JSON object among its 2 records"),
        (
            b"just words\n",
            "neither JSON lines nor parquet, plain or compressed (it begins with 'just words')",
        ),
        (b"\x00\x01\x02", "neither JSON lines nor parquet, plain or compressed"),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "a Git LFS pointer, not the file: run `git lfs pull`",
        ),
        (b"<html>", "an HTML page"),
    ],
)
@pytest.mark.parametrize("ending", ["jsonl", "JSONL.GZ", "jsonl.zst"])
def test_the_reason_for_a_left_out_file_is_true(
    content: Any, reason: str, ending: str, tmp_path: Path, write_shard: Write
) -> None:
    assert judged(write_shard(tmp_path / f"a.{ending}", content)).startswith(reason)


@pytest.mark.parametrize("cut", [3, 12, 40])
def test_a_shard_that_is_damaged_from_its_beginning_is_a_shard(
    cut: int, tmp_path: Path, write_shard: Write
) -> None:
    path = write_shard(tmp_path / "a.jsonl.gz", [{"text": "t" * 500}])
    path.write_bytes(path.read_bytes()[:cut])
    assert judged(path) == ""


def test_a_line_before_the_records_does_not_make_it_another_format(
    tmp_path: Path, write_shard: Write
) -> None:
    assert judged(write_shard(tmp_path / "a.jsonl", b'# made by hand\n{"text": "t"}\n')) == ""


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a.jsonl.gz.incomplete", "an unfinished file"),
        ("a.jsonl.part", "an unfinished file"),
        ("_temporary/0/a.jsonl", "an unfinished file"),
        ("_SUCCESS", "a note of the program that wrote the shards"),
        ("_metadata", "a note of the program that wrote the shards"),
    ],
)
def test_what_programs_leave_next_to_shards_is_left_out(
    name: str, reason: str, tmp_path: Path, write_shard: Write
) -> None:
    write_shard(tmp_path / name, b'{"text": "t"}')
    assert list(inputs_of(str(tmp_path)).left_out.values()) == [reason]


def test_a_file_that_may_not_be_read_is_named(
    tmp_path: Path, write_shard: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path, *_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    path = write_shard(tmp_path / "a.jsonl", RECORDS)
    monkeypatch.setattr(Path, "open", refused)
    assert judged(path) == "cannot be read: access denied"


def test_a_corpus_version_in_s3_is_named_once() -> None:
    root = "s3://bucket/all/corpus/v1"
    names = [
        "request.json",
        "stages/read.json",
        "documents/part-00000.parquet",
        "work/clean/part-0-0.parquet",
    ]
    found = list_shards([f"{root}/{name}" for name in names], "s3://bucket/all/")
    assert found.accepted == []
    assert found.left_out == {root: "a corpus version, by the names of its files"}


def test_a_file_that_the_disk_does_not_give_is_named(
    tmp_path: Path, write_shard: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = (str(write_shard(tmp_path / f"{name}.jsonl", RECORDS)) for name in ("a", "b"))

    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(errno.EIO, "Input/output error")

    opened = STORE.open
    monkeypatch.setattr(STORE, "open", lambda uri: Failing() if uri == bad else opened(uri))
    found = inputs_of(str(tmp_path))
    assert found.accepted == [good]
    assert found.left_out == {bad: "cannot be read: Input/output error"}
