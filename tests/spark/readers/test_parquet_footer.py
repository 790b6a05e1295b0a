"""Rows are read or counted where only a part of the footer is damaged, and where files were joined."""

from __future__ import annotations

import io
import itertools
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.readers.parquet_footer import open_files, repaired_footer

FORMS: list[dict[str, Any]] = [
    {},
    {"compression": "zstd", "row_group_size": 300},
    {"write_page_index": True, "use_dictionary": False},
    {"store_schema": False, "data_page_version": "2.0"},
]


def parquet(name: str, rows: int, **options: Any) -> bytes:
    target = io.BytesIO()
    table = {
        "text": [f"{name} {row}" for row in range(rows)],
        "latinXX": [{"keyXX": row} for row in range(rows)],
    }
    pq.write_table(pa.table(table), target, **options)
    return target.getvalue()


def texts(path: Path) -> tuple[list[str], list[str]]:
    """Return the texts of all files in a file, and the notes."""
    found: list[str] = []
    notes: list[str] = []
    for file, note in open_files(path):
        assert file is not None
        with file:
            for batch in file.iter_batches(columns=["text"]):
                found += batch.column(0).to_pylist()
        notes.append(note)
    return found, notes


@pytest.mark.parametrize("order", itertools.permutations(range(len(FORMS)), 3), ids=str)
def test_files_that_were_joined_are_all_read(order: tuple[int, ...], tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    parts = [parquet(str(form), 10 * (form + 1) ** 3, **FORMS[form]) for form in order]
    path.write_bytes(b"".join(parts))
    found, notes = texts(path)
    assert found == [f"{form} {row}" for form in order for row in range(10 * (form + 1) ** 3)]
    assert notes == ["", "", ""]


@pytest.mark.parametrize("padding", [b"\0", bytes(100), bytes(70_000), bytes(3 << 20), b"\r\n"], ids=len)
@pytest.mark.parametrize("order", itertools.permutations(range(len(FORMS)), 2), ids=str)
def test_files_that_were_joined_with_padding_are_all_read(
    order: tuple[int, ...], padding: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "a.parquet"
    parts = [parquet(str(form), 10 * (form + 1) ** 3, **FORMS[form]) for form in order]
    for content in (
        padding.join(parts),
        padding.join([*parts, b""]),
        padding.join([*parts, parquet("none", 0)]),
    ):
        path.write_bytes(content)
        found, _ = texts(path)
        assert found == [f"{form} {row}" for form in order for row in range(10 * (form + 1) ** 3)]


@pytest.mark.parametrize("options", [{}, {"write_page_index": True}], ids=str)
def test_magic_numbers_within_texts_join_nothing(options: dict[str, Any], tmp_path: Path) -> None:
    name = "PAR1PAR1 PAR1"
    (tmp_path / "a.parquet").write_bytes(
        parquet(name, 500, compression="none", use_dictionary=False, **options) * 2
    )
    found, notes = texts(tmp_path / "a.parquet")
    assert found == [f"{name} {row}" for row in range(500)] * 2 and notes == ["", ""]


@pytest.mark.parametrize(
    "rest", [b'{"text": "a line"}\n' * 9, parquet("cut", 90)[:-20]], ids=["lines", "cut"]
)
@pytest.mark.parametrize("padding", [b"", bytes(100)], ids=len)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_is_no_parquet_is_a_note_with_its_size_and_costs_no_row(
    place: int, padding: bytes, rest: bytes, tmp_path: Path
) -> None:
    parts = [parquet("one", 10), parquet("two", 20)]
    parts.insert(place, rest)
    (tmp_path / "a.parquet").write_bytes(padding.join(parts))
    found = list(open_files(tmp_path / "a.parquet"))
    assert [file.metadata.num_rows if file else 0 for file, _ in found] == [
        *(10, 20)[:place],
        0,
        *(10, 20)[place:],
    ]
    size = int(found[place][1].rpartition("(")[2].partition(" ")[0])
    assert len(rest) <= size <= len(rest) + 2 * len(padding)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_single_file_is_one_file(form: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(parquet("one", 1000, **form))
    found, notes = texts(path)
    assert len(found) == 1000 and notes == [""]


@pytest.mark.parametrize(
    ("damage", "note"),
    [
        (lambda content: content + b"\r\n", "magic bytes not found"),
        (lambda content: content.replace(b"latinXX", b"latin\xe9\xe9"), "name is not UTF-8"),
        (lambda content: content.replace(b"keyXX", b"key\xff\xfe"), "name is not UTF-8"),
        (lambda content: content.replace(b"ARROW:schema", b"ARROW:schema", 1), ""),
    ],
    ids=["bytes after it", "a name of a column", "a name within a column", "nothing"],
)
def test_damage_that_the_data_does_not_need_costs_no_row(damage: Any, note: str, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(damage(parquet("one", 50)))
    found, notes = texts(path)
    assert len(found) == 50
    assert note in notes[0] and bool(note) == bool(notes[0])


def test_a_damaged_arrow_schema_costs_no_row(tmp_path: Path) -> None:
    content = bytearray(parquet("one", 50))
    content[content.index(b"ARROW:schema") + 30] = 0xFF
    (tmp_path / "a.parquet").write_bytes(content)
    found, notes = texts(tmp_path / "a.parquet")
    assert len(found) == 50 and "base64" in notes[0]


@pytest.mark.parametrize(
    "content", [b"PAR1", b"PAR1PAR1", b"PAR1" + bytes(40) + b"PAR1", b"PAR1" + b"x" * 99]
)
def test_a_file_without_a_footer_has_a_note_alone(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(content)
    ((file, note),) = open_files(tmp_path / "a.parquet")
    assert file is None and note.startswith("parquet: ")


def test_a_damaged_file_costs_none_that_was_joined_with_it(tmp_path: Path) -> None:
    damaged, whole = bytearray(parquet("one", 10)), parquet("two", 20)
    damaged[-8:-4] = bytes(4)
    (tmp_path / "a.parquet").write_bytes(damaged + whole)
    (first, note), (second, _) = open_files(tmp_path / "a.parquet")
    assert first is None and note
    assert second is not None and second.metadata.num_rows == 20


@given(st.data())
def test_any_byte_of_a_footer_may_be_wrong(data: st.DataObject) -> None:
    content = bytearray(parquet("one", 3))
    size = int.from_bytes(content[-8:-4], "little")
    position = data.draw(st.integers(len(content) - 8 - size, len(content) - 9))
    content[position] = data.draw(st.integers(0, 255))
    try:
        repaired = repaired_footer(bytes(content[-8 - size : -8]))
    except (ValueError, IndexError):
        return
    assert len(repaired) == size
