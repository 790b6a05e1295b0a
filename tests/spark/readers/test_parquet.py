"""Parquet with bad values, damaged columns and row groups: every row of the footer is accounted for."""

from __future__ import annotations

import datetime as dt
import json
import random
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.recipes.corpus import ReadRecipe
from spark_jobs.readers.counts import ReadCounts
from spark_jobs.readers.documents import read_documents
from spark_jobs.readers.input_files import raw_shard
from spark_jobs.readers.shards import NumberedShard

ROWS = 1000


def read(path: Path) -> tuple[list[dict[str, Any]], ReadCounts]:
    counts = ReadCounts()
    batches = read_documents(NumberedShard(0, "raw/a", raw_shard(str(path))), ReadRecipe(), counts)
    rows = [row for batch in batches for row in batch.to_pylist()]
    assert counts.records == len(rows) + counts.dropped.total()
    return rows, counts


def strings(*values: bytes) -> pa.StringArray:
    """Make strings whose bytes are not checked, as some writers do."""
    offsets = np.cumsum([0, *map(len, values)]).astype(np.int32)
    return pa.StringArray.from_buffers(len(values), pa.py_buffer(offsets), pa.py_buffer(b"".join(values)))


def moments(unit: str, *values: int, tz: str | None = None) -> pa.Array:
    return pa.array(values, pa.int64()).cast(pa.timestamp(unit, tz))


def clocks(unit: str, *values: int) -> pa.Array:
    return pa.array(values, pa.int64()).cast(pa.time64(unit))


#: Ways to nest a column of two values, and what a value becomes.
NESTED: list[tuple[Callable[[pa.Array], pa.Array], Callable[[Any], Any]]] = [
    (lambda column: column, lambda value: value),
    (lambda column: column.dictionary_encode(), lambda value: value),
    (lambda column: pa.ListArray.from_arrays([0, 1, 2], column), lambda value: [value]),
    (lambda column: pa.StructArray.from_arrays([column], ["a"]), lambda value: {"a": value}),
    (
        lambda column: pa.MapArray.from_arrays([0, 1, 2], pa.array(["k", "k"]), column),
        lambda value: [["k", value]],
    ),
]
FAR = 2**45
NAMED_TWICE = pa.StructArray.from_arrays([pa.array([1, 2]), pa.array([3, 4])], ["a", "a"])


@pytest.mark.parametrize(
    ("column", "expected", "repaired"),
    [
        (strings(b"good", b"caf\xe9"), ["good", "caf\ufffd"], {"invalid_utf8": 1}),
        (
            strings(b"good", b"caf\xe9").cast(pa.large_string(), safe=False),
            ["good", "caf\ufffd"],
            {"invalid_utf8": 1},
        ),
        (strings(b"good", b"caf\xe9").dictionary_encode(), ["good", "caf\ufffd"], {"invalid_utf8": 1}),
        (
            pa.ListArray.from_arrays([0, 1, 2], strings(b"good", b"caf\xe9")),
            [["good"], ["caf\ufffd"]],
            {"invalid_utf8": 1},
        ),
        (
            pa.StructArray.from_arrays([strings(b"a", b"\xe9"), pa.array([1, 2])], ["s", "n"]),
            [{"s": "a", "n": 1}, {"s": "\ufffd", "n": 2}],
            {"invalid_utf8": 1},
        ),
        (
            pa.MapArray.from_arrays([0, 1, 2], strings(b"k", b"\xe9"), pa.array([1, 2])),
            [[["k", 1]], [["\ufffd", 2]]],
            {"invalid_utf8": 1},
        ),
        (pa.array([0, 2**30], pa.int32()).cast(pa.date32()), ["1970-01-01", None], {"date_out_of_range": 1}),
        (moments("s", 0, FAR), ["1970-01-01T00:00:00", None], {"date_out_of_range": 1}),
        (moments("us", 1, -FAR * 60_000), ["1970-01-01T00:00:00.000001", None], {"date_out_of_range": 1}),
        (
            moments("ms", 0, 1001, tz="Mars/Phobos"),
            ["1970-01-01T00:00:00.000+00:00", "1970-01-01T00:00:01.001+00:00"],
            {},
        ),
        (pa.array([1.5, float("nan")]), [1.5, None], {"number_out_of_range": 1}),
        (pa.array([float("inf"), -1.0], pa.float32()), [None, -1.0], {"number_out_of_range": 1}),
        (pa.array([[1.0], [2.0, float("nan")]]), [[1.0], [2.0, None]], {"number_out_of_range": 1}),
        (pa.array([{"x": 1.0}, {"x": float("-inf")}]), [{"x": 1.0}, {"x": None}], {"number_out_of_range": 1}),
        (NAMED_TWICE, [{"a": 3}, {"a": 4}], {}),
        (pa.array([Decimal(1), Decimal(10) ** 37], pa.decimal128(38, 0)), ["1", "1" + "0" * 37], {}),
        (pa.array([2**64 - 1, None], pa.uint64()), [2**64 - 1, None], {}),
        (pa.array([b"caf\xe9", b"a"]), ["caf\ufffd", "a"], {"invalid_utf8": 1}),
        (pa.array([b"\xff\0\x01", b"a"]), [None, "a"], {"unreadable_value": 1}),
        (pa.array([[b"a"], [b"\xff"]]), [["a"], ["\ufffd"]], {"invalid_utf8": 1}),
        (pa.array([{"b": b"a"}, {"b": b"\xff"}]), [{"b": "a"}, {"b": "\ufffd"}], {"invalid_utf8": 1}),
        (pa.array([b"ab", b"\xff\xff"], pa.binary(2)), ["ab", "\ufffd\ufffd"], {"invalid_utf8": 1}),
        (pa.array([dt.time(1, 2, 3), None]), ["01:02:03", None], {}),
        *(
            (
                wrap(clocks("ns", 1_000_000_001, 3_000)),
                [whole("00:00:01.000000001"), whole("00:00:00.000003")],
                {},
            )
            for wrap, whole in NESTED
        ),
        (clocks("us", 1, 86_400 * 10**6), ["00:00:00.000001", None], {"date_out_of_range": 1}),
        (clocks("ns", 86_399_999_999_999, -1), ["23:59:59.999999999", None], {"date_out_of_range": 1}),
    ],
    ids=lambda value: str(value.type)[:30] if isinstance(value, pa.Array) else "",
)
def test_one_bad_value_costs_no_row(
    column: pa.Array, expected: list[Any], repaired: dict[str, int], tmp_path: Path
) -> None:
    pq.write_table(pa.table({"text": ["one", "two"], "value": column}), tmp_path / "a.parquet")
    rows, counts = read(tmp_path / "a.parquet")
    assert [row["text"] for row in rows] == ["one", "two"]
    assert [json.loads(row["metadata"])["value"] for row in rows] == expected
    assert counts.repaired == repaired


def test_nanoseconds_are_kept(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["one"], "when": moments("ns", 1_500_000_001)}), tmp_path / "a.parquet")
    rows, counts = read(tmp_path / "a.parquet")
    assert "00:00:01.500000001" in json.loads(rows[0]["metadata"])["when"]
    assert not counts.repaired


def test_timestamps_of_96_bits_have_any_year(tmp_path: Path) -> None:
    years = [dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 1, 2, 3, 4)]
    table = pa.table({"text": ["one", "two"], "when": pa.array(years, pa.timestamp("us"))})
    pq.write_table(table, tmp_path / "a.parquet", use_deprecated_int96_timestamps=True)
    rows, _ = read(tmp_path / "a.parquet")
    assert [json.loads(row["metadata"])["when"] for row in rows] == [year.isoformat() for year in years]


def test_of_two_columns_of_one_name_the_last_counts(tmp_path: Path) -> None:
    columns = [pa.array(["a"]), pa.array(["b"]), pa.array([1]), pa.array([2])]
    pq.write_table(pa.Table.from_arrays(columns, ["text", "text", "n", "n"]), tmp_path / "a.parquet")
    rows, _ = read(tmp_path / "a.parquet")
    assert [(row["text"], row["metadata"]) for row in rows] == [("b", '{"n":2}')]


def test_a_row_without_text_has_that_of_another_column(tmp_path: Path) -> None:
    table = pa.table({"text": ["a", None, "", None], "content": ["x", "b", "c", None]})
    pq.write_table(table, tmp_path / "a.parquet")
    rows, counts = read(tmp_path / "a.parquet")
    assert [row["text"] for row in rows] == ["a", "b", "c"]
    assert counts.dropped == {"no_text": 1}


def damaged(path: Path, column: str, group: int, **options: Any) -> None:
    """Write a file of which one column chunk is damaged."""
    noise = random.Random(1)
    table = pa.table(
        {
            "url": [f"http://site.example/{i}/{noise.randbytes(20).hex()}" for i in range(ROWS)],
            "text": [f"{i} {noise.randbytes(40).hex()}" for i in range(ROWS)],
            "n": list(range(ROWS)),
        }
    )
    pq.write_table(table, path, compression="zstd", **options)
    chunk = pq.ParquetFile(path).metadata.row_group(group).column(table.schema.names.index(column))
    with path.open("r+b") as file:
        file.seek(chunk.data_page_offset + chunk.total_compressed_size // 2)
        file.write(bytes(chunk.total_compressed_size // 4))


@pytest.mark.parametrize("rows_per_group", [100, 1000])
def test_a_damaged_column_costs_no_text(rows_per_group: int, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    damaged(path, "url", 0, row_group_size=rows_per_group, use_dictionary=False)
    rows, counts = read(path)
    assert [int(row["text"].split()[0]) for row in rows] == list(range(ROWS))
    assert [row["row"] for row in rows] == list(range(ROWS))
    assert not counts.dropped
    lost = [row for row in rows if json.loads(row["metadata"])["url"] is None]
    assert 0 < len(lost) <= rows_per_group
    assert counts.repaired["unreadable_column"] >= len(lost)


@pytest.mark.parametrize(("rows_per_group", "group"), [(100, 0), (100, 4), (100, 9), (1000, 0)])
def test_rows_of_a_damaged_text_are_counted_by_the_footer(
    rows_per_group: int, group: int, tmp_path: Path
) -> None:
    path = tmp_path / "a.parquet"
    damaged(path, "text", group, row_group_size=rows_per_group, use_dictionary=False)
    rows, counts = read(path)
    assert counts.records == ROWS
    assert 0 < counts.dropped["corrupt_shard"] <= rows_per_group
    found = [int(row["text"].split()[0]) for row in rows]
    assert set(range(ROWS)) - set(found) <= set(range(group * rows_per_group, (group + 1) * rows_per_group))
    assert [row["row"] for row in rows] == found  # a row has the same id however much of the file is damaged
    assert counts.note.startswith("parquet: ")


def test_a_wrong_checksum_of_a_page_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(
        pa.table({"text": [f"text number {i}" for i in range(ROWS)]}),
        path,
        compression="none",
        use_dictionary=False,
        write_page_checksum=True,
        row_group_size=500,
    )
    content = path.read_bytes()
    path.write_bytes(content.replace(b"text number 700", b"TEXT number 700"))
    rows, counts = read(path)
    assert len(rows) == 500
    assert counts.dropped == {"corrupt_shard": 500}


def test_a_footer_that_promises_more_rows_than_there_are_is_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [f"t{i}" for i in range(ROWS)]}), path)
    whole = pq.ParquetFile.iter_batches

    def short(file: pq.ParquetFile, *args: Any, **options: Any) -> Any:
        return list(whole(file, *args, **options))[:-1]

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", short)
    rows, counts = read(path)
    assert counts.records == ROWS
    assert counts.dropped == {"corrupt_shard": ROWS - len(rows)}


@pytest.mark.parametrize("kind", [pa.binary(6), pa.large_binary(), pa.json_(), pa.string_view()], ids=str)
def test_text_of_every_type_that_holds_text_is_read(kind: pa.DataType, tmp_path: Path) -> None:
    texts = ["text 1", "text 2"]
    storage = pa.array([text.encode() for text in texts], kind) if "binary" in str(kind) else None
    column = pa.array(texts, kind) if storage is None else storage
    pq.write_table(pa.table({"text": column}), tmp_path / "a.parquet")
    rows, counts = read(tmp_path / "a.parquet")
    assert [row["text"] for row in rows] == texts and not counts.dropped
