"""Partial reading of parquet files: chosen columns, bounded batches, and documents by id."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.contracts.documents import DOCUMENT_COLUMNS
from spark_jobs.corpus_version.layout import VersionLayout
from spark_jobs.runtime import parquet
from spark_jobs.runtime.parquet import column_batches, documents_by_id
from spark_jobs.runtime.tables import read_tables


def written(path: Path, ids: list[str], rows_per_group: int = 2) -> str:
    columns = {name: [f"{name} of {document}" for document in ids] for name in DOCUMENT_COLUMNS}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns | {"id": ids}), path, row_group_size=rows_per_group)
    return str(path)


@pytest.fixture
def layout(tmp_path: Path) -> VersionLayout:
    """A version with two files of documents, the first of three row groups, and one that is held out."""
    made = VersionLayout(str(tmp_path))
    written(Path(made.documents) / "a.parquet", ["a0", "a1", "a2", "a3", "a5", "a6"])
    written(Path(made.documents) / "b.parquet", ["b0"])
    written(Path(made.held_out) / "a.parquet", ["a7"])
    return made


def test_documents_are_found_in_every_row_group_of_every_file(layout: VersionLayout) -> None:
    wanted = ["a0", "a3", "a5", "a6", "b0", "a7"]
    found = documents_by_id(layout, wanted)
    assert set(found) == set(wanted)
    assert found["a3"] == {name: f"{name} of a3" for name in DOCUMENT_COLUMNS} | {"id": "a3"}


def test_ids_that_the_corpus_does_not_hold_are_left_out(layout: VersionLayout) -> None:
    # in the range of a row group, between two of them, and outside all
    assert set(documents_by_id(layout, ["a00", "a4", "zz", "a1"])) == {"a1"}
    assert documents_by_id(layout, []) == {}


def test_row_groups_whose_range_has_no_wanted_id_are_not_read(
    layout: VersionLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    really = pq.ParquetFile.read_row_group

    def noting(file: Any, group: int, *arguments: Any, **options: Any) -> Any:
        read.append(group)
        return really(file, group, *arguments, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", noting)
    documents_by_id(layout, ["a2"])
    assert read == [1, 1]  # its ids, then its documents


@pytest.mark.parametrize(("columns", "most"), [(["id", "text"], 3), (["id"], 5)])
def test_batches_with_texts_are_smaller(
    layout: VersionLayout, monkeypatch: pytest.MonkeyPatch, columns: list[str], most: int
) -> None:
    monkeypatch.setattr(parquet, "_TEXTS", 3)
    monkeypatch.setattr(parquet, "_NUMBERS", 5)
    uris = [f"{layout.documents}/a.parquet", f"{layout.documents}/b.parquet"]
    batches = list(column_batches(uris, columns))
    assert [name for batch in batches for name in batch.column("id").to_pylist()][-2:] == ["a6", "b0"]
    assert batches[0].schema.names == columns
    assert max(batch.num_rows for batch in batches) == most


def test_a_table_is_read_from_the_parquet_files_alone(tmp_path: Path) -> None:
    schema = pa.schema([("id", pa.string())])
    folder = tmp_path / "part=3"  # a name that a dataset reader takes for a column
    uris = [
        written(folder / "a.parquet", ["x", "y"]),
        str(folder / "notes.txt"),
        written(folder / "b.parquet", ["z"]),
    ]
    assert read_tables(uris, schema).to_pydict() == {"id": ["x", "y", "z"]}
    assert read_tables([], schema).schema == schema
