"""The resource table keeps rows over reopening and never lets two writers interleave."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from local_aws.resources import Resource, ResourceTable


def test_a_row_survives_reopening_as_it_was(tmp_path: Path) -> None:
    table = ResourceTable(tmp_path / "jobs.sqlite")
    table.insert(Resource("k", "a", "NEW", {"x": [1]}, {"y": "ä"}, [{"pid": 3}], parent="p", generation=2))
    before = table.get("k", "a")
    table.close()
    assert ResourceTable(tmp_path / "jobs.sqlite").get("k", "a") == before


def test_a_taken_name_is_refused_and_the_row_untouched(tmp_path: Path) -> None:
    table = ResourceTable(tmp_path / "jobs.sqlite")
    assert table.insert(Resource("k", "a", "FIRST"))
    assert not table.insert(Resource("k", "a", "SECOND"))
    row = table.get("k", "a")
    assert row is not None and row.state == "FIRST"


def test_concurrent_edits_lose_nothing(tmp_path: Path) -> None:
    table = ResourceTable(tmp_path / "jobs.sqlite")
    table.insert(Resource("k", "a", "NEW", detail={"n": 0}))

    def add() -> None:
        for _ in range(50):
            with table.editing("k", "a") as row:
                row.detail["n"] += 1

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    row = table.get("k", "a")
    assert row is not None and row.detail["n"] == 200


def test_an_edit_that_raises_changes_nothing(tmp_path: Path) -> None:
    table = ResourceTable(tmp_path / "jobs.sqlite")
    table.insert(Resource("k", "a", "NEW"))
    with pytest.raises(RuntimeError), table.editing("k", "a") as row:
        row.state = "BROKEN"
        raise RuntimeError
    kept = table.get("k", "a")
    assert kept is not None and kept.state == "NEW"


def test_children_are_listed_oldest_first(tmp_path: Path) -> None:
    table = ResourceTable(tmp_path / "jobs.sqlite")
    for i, name in enumerate("cab"):
        table.insert(Resource("k", name, "NEW", parent="p", created=float(i)))
    table.insert(Resource("k", "other", "NEW", parent="q"))
    assert [row.name for row in table.list("k", "p")] == ["c", "a", "b"]
