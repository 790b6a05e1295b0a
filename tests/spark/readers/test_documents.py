from __future__ import annotations

import bz2
import errno
import gzip
import io
import json
import lzma
import random
import tracemalloc
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from include.contracts.errors import InputError, IntegrityError
from include.contracts.manifests import RawShard
from include.object_store import STORE
from include.object_store.errors import StorageRefused
from include.recipes.corpus import ReadRecipe
from spark_jobs.readers.counts import ReadCounts
from spark_jobs.readers.documents import read_documents
from spark_jobs.readers.input_files import raw_shard
from spark_jobs.readers.shards import NumberedShard, ordered_shards

Write = Callable[[Path, Any], Path]
LINES = [{"text": f"text {i}", "meta": {"pile_set_name": "A"}} for i in range(1000)]


def read(*paths: Path, limit: int = 1 << 20) -> tuple[list[dict[str, Any]], ReadCounts]:
    (shard,) = ordered_shards([raw_shard(str(path)) for path in paths])
    counts = ReadCounts()
    batches = list(read_documents(shard, ReadRecipe(max_document_bytes=limit), counts))
    rows = [row for batch in batches for row in batch.to_pylist()]
    assert counts.records == len(rows) + counts.dropped.total()
    return rows, counts


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"])
def test_lines_are_read_from_every_container(name: str, tmp_path: Path, write_shard: Write) -> None:
    rows, counts = read(write_shard(tmp_path / name, LINES))
    assert [(row["row"], row["text"], row["subset"]) for row in rows] == [
        (i, f"text {i}", "A") for i in range(1000)
    ]
    assert not counts.dropped


def test_contents_decide_and_not_names(tmp_path: Path, write_shard: Write) -> None:
    path = write_shard(tmp_path / "a.jsonl.zst", LINES)
    rows, counts = read(path.rename(tmp_path / "misnamed.jsonl"))
    assert (len(rows), counts.container) == (1000, "zstd")


def test_bad_lines_are_counted_each_with_its_reason(tmp_path: Path, write_shard: Write) -> None:
    good = json.dumps({"text": "good"}).encode()
    lines = [
        good,
        b'{"text": "cut off',
        b'{"text": "joined"}{"text": "without a line feed"}',
        b'{"text": "kept", "url": "caf\xe9", "title": "half \\ud800", "n": 1180591620717411303424}',
        b"not json",
        b'{"text": "\xff\xfe"}',
        b'{"text": "half a pair \\ud800"}',
        b'{"title": "no text"}',
        b'{"text": null}',
        b"[1, 2]",
        b"",
        b"   ",
        b'{"text": "not a number is accepted", "score": NaN}',
        b'{"text": "' + b"x" * 3000 + b'"}',
        b'{"text": "' + b"y" * (3 << 20) + b'"}',
        good,
    ]
    rows, counts = read(write_shard(tmp_path / "a.jsonl", b"\n".join(lines)), limit=2000)
    assert [row["text"] for row in rows] == [
        *("good", "joined", "without a line feed", "kept", "not a number is accepted", "good")
    ]
    assert json.loads(rows[3]["metadata"]) == {"url": "caf\ufffd", "title": "half \ufffd", "n": 2**70}
    assert counts.repaired == {"invalid_utf8": 1, "half_surrogate": 1, "number_out_of_range": 1}
    assert counts.dropped == {
        "invalid_json": 2,
        "invalid_utf8": 2,
        "unknown_schema": 2,
        "no_text": 1,
        "too_large": 2,
    }
    assert rows[-1]["row"] == 14  # blank lines are no records


@pytest.mark.parametrize(
    ("line", "reason", "shown"),
    [
        (b'{"text": "cut \xc3\xa4 off', "invalid_json", '{"text": "cut ä off'),
        (b'{"text": "\xff\xfe"}', "invalid_utf8", '{"text": "\ufffd\ufffd"}'),
        (b'{"title": "no text"}', "unknown_schema", '{"title": "no text"}'),
        (b'{"text": null}', "no_text", '{"text": null}'),
        (b'{"text": "' + b"x" * 3000 + b'"}', "too_large", '{"text": "' + "x" * 291),
        (b'{"text": "' + b"y" * (3 << 20) + b'"}', "too_large", '{"text": "' + "y" * 291),
    ],
)
def test_of_bad_lines_the_first_three_of_a_reason_are_shown_by_their_beginnings(
    line: bytes, reason: str, shown: str, tmp_path: Path, write_shard: Write
) -> None:
    good = json.dumps({"text": "good"}).encode()
    _, counts = read(write_shard(tmp_path / "a.jsonl", b"\n".join([good, *[line] * 5])), limit=2000)
    assert counts.dropped == {reason: 5}
    assert counts.dropped.examples == {reason: [(1, shown), (2, shown), (3, shown)]}


def test_a_character_that_the_end_of_an_excerpt_cuts_is_left_out(tmp_path: Path, write_shard: Write) -> None:
    _, counts = read(write_shard(tmp_path / "a.jsonl", ("not json" + "漢" * 500).encode()))
    assert counts.dropped.examples["invalid_json"] == [(0, "not json" + "漢" * 97)]


@pytest.mark.parametrize(
    ("values", "reason", "shown"),
    [
        (pa.array([None]), "no_text", "null"),
        (pa.array([""]), "no_text", ""),
        (pa.array([7]), "no_text", "a value of type int64"),
        (pa.array([["one", "two"]]), "no_text", "a value of type list<element: string>"),
        (pa.array([None], pa.dictionary(pa.int32(), pa.string())), "no_text", "null"),
        (pa.array([b"caf\xff"]), "invalid_utf8", "caf\ufffd"),
        (pa.array([b"caf\xff"], pa.large_binary()), "invalid_utf8", "caf\ufffd"),
        (pa.array(["x" * 3000]), "too_large", "x" * 301),
        (pa.array(["x" * 3000], pa.string_view()), "too_large", "x" * 301),
        (pa.array(["x" * 3000]).dictionary_encode(), "too_large", "x" * 301),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else None,
)
def test_of_bad_rows_the_first_three_of_a_reason_are_shown_by_their_beginnings(
    values: pa.Array, reason: str, shown: str, tmp_path: Path
) -> None:
    path = tmp_path / "bad.parquet"
    pq.write_table(pa.table({"text": pa.concat_arrays([values] * 100)}), path)
    _, counts = read(path, limit=2000)
    assert counts.dropped == {reason: 100}
    assert counts.dropped.examples == {reason: [(0, shown), (1, shown), (2, shown)]}


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
def test_a_cut_shard_keeps_what_lies_before_and_counts_the_cut(
    name: str, tmp_path: Path, write_shard: Write
) -> None:
    path = write_shard(tmp_path / name, [{"text": f"{i} {i * i} {i**5}"} for i in range(60_000)])
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    rows, counts = read(path)
    assert 20_000 < len(rows) < 60_000
    assert [row["text"] for row in rows] == [f"{i} {i * i} {i**5}" for i in range(len(rows))]
    assert counts.dropped == {"corrupt_shard": 1}
    assert "ends within" in counts.note
    assert counts.dropped.examples == {"corrupt_shard": [(len(rows), counts.note)]}


@pytest.mark.parametrize(
    "content", [b"", b"\n\n", gzip.compress(b""), zstandard.ZstdCompressor().compress(b"")]
)
def test_an_empty_shard_has_no_documents_and_no_drops(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "empty.jsonl"
    path.write_bytes(content)
    rows, counts = read(path)
    assert (rows, counts.records) == ([], 0)


def test_a_binary_file_is_one_dropped_record(tmp_path: Path) -> None:
    path = tmp_path / "picture.jsonl"
    path.write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0")
    _, counts = read(path)
    assert counts.dropped == {"unknown_schema": 1}
    assert counts.dropped.examples == {"unknown_schema": [(0, "\ufffdPNG\r\n\x1a\n\0\0\0")]}


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.zst"])
def test_a_document_of_100_mb_is_dropped_in_bounded_memory(
    name: str, tmp_path: Path, write_shard: Write
) -> None:
    huge = b'{"text": "' + b"z" * 100_000_000 + b'"}\n'
    path = write_shard(tmp_path / name, huge + b'{"text": "small"}\n')
    del huge
    tracemalloc.start()
    rows, counts = read(path, limit=1 << 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [row["text"] for row in rows] == ["small"]
    assert counts.dropped == {"too_large": 1}
    assert peak < 30_000_000


def test_a_shard_that_changed_is_refused(tmp_path: Path, write_shard: Write) -> None:
    path = write_shard(tmp_path / "a.jsonl", LINES)
    (shard,) = ordered_shards([RawShard(str(path), path.stat().st_size, "0" * 64)])
    with pytest.raises(IntegrityError, match="not the one that the request names"):
        list(read_documents(shard, ReadRecipe(), ReadCounts()))


@pytest.mark.parametrize(
    ("content", "note"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "Git LFS"),
        (b"<html>\n<body>\n404\n</body>\n</html>", "HTML"),
        (gzip.compress(b"<html>"), "HTML"),
        (b"\0" * 1000, "zero bytes"),
        (b"\x93NUMPY\0\0", "neither JSON lines"),
    ],
)
def test_a_shard_of_another_format_is_one_record_with_its_name(
    content: bytes, note: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(content)
    _, counts = read(path)
    assert counts.dropped == {"unknown_schema": 1}
    assert note in counts.note


def test_index_lines_before_each_document_are_dropped_and_the_documents_read(
    tmp_path: Path, write_shard: Write
) -> None:
    lines = [record for i in range(30) for record in ({"index": {"_id": i}}, {"text": f"t{i}", "title": "x"})]
    rows, counts = read(write_shard(tmp_path / "bulk.json.gz", lines))
    assert [row["text"] for row in rows] == [f"t{i}" for i in range(30)]
    assert counts.dropped == {"unknown_schema": 30}


def test_a_first_record_that_looks_like_a_companions_does_not_decide(
    tmp_path: Path, write_shard: Write
) -> None:
    rows, counts = read(write_shard(tmp_path / "a.json.gz", [{"quality_signals": {}}, {"text": "t"}]))
    assert (len(rows), dict(counts.dropped), counts.companion) == (1, {"unknown_schema": 1}, "")
    html = json.dumps({"quality_signals": {}}) * 20_000
    rows, counts = read(write_shard(tmp_path / "b.json.gz", [{"html": html, "text": "t"}]))
    assert (len(rows), counts.companion) == (1, "")


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor(write_checksum=True).compress])
def test_only_the_damaged_part_of_a_series_is_lost(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    parts = [
        pack(b"".join(json.dumps({"text": f"{part} {i} {i**9}"}).encode() + b"\n" for i in range(3000)))
        for part in range(4)
    ]
    parts[1] = parts[1][: len(parts[1]) // 2]
    path = tmp_path / "series.jsonl"
    path.write_bytes(b"".join(parts))
    rows, counts = read(path)
    found = Counter(row["text"].partition(" ")[0] for row in rows)
    assert (found["0"], found["2"], found["3"]) == (3000, 3000, 3000)
    assert counts.dropped["corrupt_shard"] == 1


def test_the_last_whole_record_before_a_cut_is_kept(tmp_path: Path) -> None:
    compressor = zlib.compressobj(wbits=31)
    content = compressor.compress(b'{"text": "one"}\n{"text": "two"}') + compressor.flush(zlib.Z_FULL_FLUSH)
    path = tmp_path / "cut.jsonl.gz"
    path.write_bytes(content)
    rows, counts = read(path)
    assert [row["text"] for row in rows] == ["one", "two"]
    assert counts.dropped == {"corrupt_shard": 1}


def test_every_digit_of_a_long_integer_is_kept(tmp_path: Path, write_shard: Write) -> None:
    numbers = [2**64, -(2**63) - 1, 10**30 + 1, 2**63, 1.5e300]
    rows, counts = read(write_shard(tmp_path / "a.jsonl", [{"text": "t", "n": number} for number in numbers]))
    assert [json.loads(row["metadata"])["n"] for row in rows] == numbers
    assert not counts.repaired


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    (shard,) = ordered_shards([RawShard(str(tmp_path / "gone.jsonl"), 1, "")])
    with pytest.raises(InputError, match=r"gone\.jsonl: no such file"):
        list(read_documents(shard, ReadRecipe(), ReadCounts()))


def test_quality_signals_stand_in_the_metadata_of_their_row(tmp_path: Path, write_shard: Write) -> None:
    documents = write_shard(
        tmp_path / "documents/2023-06/0000/en_head.json.gz",
        [{"raw_content": f"d{i}", "language": "en", "bucket": "head"} for i in range(6)],
    )
    signals = write_shard(
        tmp_path / "quality_signals/2023-06/0000/en_head.signals.json.gz",
        [
            {"id": f"2023-06/0000/en_head.json.gz/{i}", "quality_signals": {"n": [[0, 1, i]]}}
            for i in (0, 2, 3)
        ],
    )
    with gzip.open(signals, "ab") as more:  # one overlong line says nothing of the rows after it
        more.write(b'{"id": "a/4", "quality_signals": "' + b"q" * (17 << 20) + b'"}\n')
        more.write(b'{"id": "a/5", "quality_signals": {"n": [[0, 1, 5]]}}\n')
    (shard,) = ordered_shards([raw_shard(str(path)) for path in (documents, signals)])
    rows = [row for batch in read_documents(shard, ReadRecipe(), ReadCounts()) for row in batch.to_pylist()]
    found = [json.loads(row["metadata"]).get("quality_signals") for row in rows]
    assert found == [
        {"n": [[0, 1, 0]]},
        None,
        {"n": [[0, 1, 2]]},
        {"n": [[0, 1, 3]]},
        None,
        {"n": [[0, 1, 5]]},
    ]
    assert {row["subset"] for row in rows} == {"en_head"}


@pytest.mark.parametrize(
    ("kind", "columns"),
    [
        ("duplicates", {"shard_id": ["a"], "doc_id": ["b"], "digest": ["c"]}),
        ("minhash", {"id": ["a"], "signature_sim0.7": [[b"x"]]}),
    ],
)
def test_companions_of_redpajama_v2_hold_no_documents(
    kind: str, columns: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "en_head.parquet"
    pq.write_table(pa.table(columns), path)
    rows, counts = read(path)
    assert (rows, counts.records, counts.companion) == ([], 0, kind)


def test_damaged_quality_signals_cost_no_document(tmp_path: Path, write_shard: Write) -> None:
    documents = write_shard(tmp_path / "d/en_head.json.gz", [{"raw_content": f"d{i}"} for i in range(3)])
    signals = write_shard(tmp_path / "s/en_head.signals.json.gz", b"[1]\n")
    local = NumberedShard(0, "en_head", raw_shard(str(documents)), raw_shard(str(signals)))
    counts = ReadCounts()
    assert sum(batch.num_rows for batch in read_documents(local, ReadRecipe(), counts)) == 3
    assert "damaged" in counts.note


def test_rows_that_a_dictionary_makes_large_are_not_taken_all_at_once(tmp_path: Path) -> None:
    table = pa.table({"text": [f"row {i}" for i in range(64)], "big": ["x" * 4_000_000] * 64})
    pq.write_table(table, tmp_path / "bomb.parquet")
    assert (tmp_path / "bomb.parquet").stat().st_size < 1_000_000
    shard = NumberedShard(0, "bomb", raw_shard(str(tmp_path / "bomb.parquet")))
    sizes = [batch.num_rows for batch in read_documents(shard, ReadRecipe(), ReadCounts())]
    assert sum(sizes) == 64 and max(sizes) <= 16


def test_quality_signals_alone_are_recognised(tmp_path: Path, write_shard: Write) -> None:
    path = write_shard(tmp_path / "x.json.gz", [{"id": "a/0", "quality_signals": {}}])
    assert read(path)[1].companion == "quality_signals"


def test_parquet_keeps_text_and_everything_else_as_metadata(tmp_path: Path) -> None:
    path = tmp_path / "c4.parquet"
    table = pa.table(
        {"text": ["one", None, "", "four"], "meta": [{"pile_set_name": "P", "n": i} for i in range(4)]}
    )
    pq.write_table(table, path)
    rows, counts = read(path)
    assert [(row["row"], row["text"], row["source"], row["subset"]) for row in rows] == [
        (0, "one", "pile", "P"),
        (3, "four", "pile", "P"),
    ]
    assert json.loads(rows[1]["metadata"]) == {"meta": {"pile_set_name": "P", "n": 3}}
    assert counts.dropped == {"no_text": 2}


def test_parquet_with_bad_text_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "bad.parquet"
    pq.write_table(pa.table({"text": pa.array([b"good", b"\xff", b"x" * 3000], pa.binary())}), path)
    rows, counts = read(path, limit=2000)
    assert [row["text"] for row in rows] == ["good"]
    assert counts.dropped == {"invalid_utf8": 1, "too_large": 1}


def test_a_cut_parquet_is_one_corrupt_record(tmp_path: Path) -> None:
    path = tmp_path / "cut.parquet"
    pq.write_table(pa.table({"text": ["a" * 1000]}), path)
    path.write_bytes(path.read_bytes()[:-20])
    dropped = read(path)[1].dropped
    assert dropped == {"corrupt_shard": 1}
    assert [text[:9] for _, text in dropped.examples["corrupt_shard"]] == ["parquet: "]


def test_parquet_without_text_is_counted_by_rows(tmp_path: Path) -> None:
    path = tmp_path / "other.parquet"
    pq.write_table(pa.table({"x": [1, 2, 3], "y": [1, 2, 3]}), path)
    dropped = read(path)[1].dropped
    assert dropped == {"unknown_schema": 3}
    assert dropped.examples == {"unknown_schema": [(0, "columns x, y")]}


def test_a_disk_that_fails_while_a_shard_is_read_names_the_shard(
    tmp_path: Path, write_shard: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_shard(tmp_path / "a.jsonl", [{"text": "t"}])
    shard = NumberedShard(0, "a", raw_shard(str(path)))

    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(STORE, "open", lambda *_: Failing())
    with pytest.raises(StorageRefused, match=r"a\.jsonl"):
        list(read_documents(shard, ReadRecipe(), ReadCounts()))


@pytest.mark.parametrize("end", ["\n", ""])
@pytest.mark.parametrize(
    ("pack", "name"),
    [(bz2.compress, "bzip2"), (lzma.compress, "xz"), (lambda content: parquet_of(500), "a parquet file")],
)
def test_another_format_joined_with_lines_is_named_with_the_bytes_that_are_lost(
    pack: Callable[[bytes], bytes], name: str, end: str, tmp_path: Path
) -> None:
    lines = "\n".join(json.dumps(line) for line in LINES) + end
    packed = pack(random.Random(5).randbytes(300_000).hex().encode())
    (tmp_path / "a.jsonl").write_bytes(lines.encode() + packed)
    rows, counts = read(tmp_path / "a.jsonl")
    assert [row["text"] for row in rows] == [line["text"] for line in LINES]
    assert dict(counts.dropped) == {"corrupt_shard": 1}
    assert counts.note.startswith(name)
    lost = int(counts.note.partition("about ")[2].partition(" ")[0])
    assert 0.9 * len(packed) < lost < len(packed) + 200


def parquet_of(rows: int) -> bytes:
    target = io.BytesIO()
    pq.write_table(pa.table({"text": [f"text {row}" for row in range(rows)]}), target)
    return target.getvalue()


def test_the_name_of_a_format_within_a_broken_record_is_text(tmp_path: Path) -> None:
    lines = [b'{"text": "one", "n": NaN, "t": "] BZh91AY&SY"}', b'{"text": "PK\x03\x04', b'{"text": "two"}']
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines))
    rows, counts = read(tmp_path / "a.jsonl")
    assert [row["text"] for row in rows] == ["one", "two"]
    assert dict(counts.dropped) == {"invalid_json": 1} and not counts.note


def test_a_member_after_utf_16_is_damage_with_the_number_of_bytes(tmp_path: Path) -> None:
    lines = "\n".join(json.dumps(line) for line in LINES) + "\n"
    packed = gzip.compress(lines.encode())
    (tmp_path / "a.jsonl").write_bytes(lines.encode("utf-16") + packed)
    rows, counts = read(tmp_path / "a.jsonl")
    assert len(rows) == len(LINES) and dict(counts.dropped) == {"corrupt_shard": 1}
    assert f"{len(packed)} bytes are not read" in counts.note
