"""A folder names files relative to its root, on this machine and in S3."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.contracts.errors import IntegrityError
from include.object_store import Folder, ObjectAbsent
from include.object_store.locations import absolute, join, key_of, split
from include.object_store.verification import content_entry, file_entry


def test_what_was_written_is_read_listed_and_deleted(root: str, tmp_path: Path) -> None:
    folder = Folder(root)
    assert folder.sizes() == {}
    folder.write("step_10/a", b"one")
    folder.write("step_9/b", b"four")
    (tmp_path / "big").write_bytes(bytes(9 << 20))
    folder.upload("step_9/big", tmp_path / "big")
    assert folder.sizes() == {"step_10/a": 3, "step_9/b": 4, "step_9/big": 9 << 20}
    assert folder.sizes("step_9/") == {"step_9/b": 4, "step_9/big": 9 << 20}
    assert folder.sizes("step_1") == {"step_10/a": 3}
    folder.write("step_10/a", b"changed")
    assert folder.read("step_10/a") == b"changed"
    folder.download("step_9/big", tmp_path / "down" / "big")
    assert (tmp_path / "down" / "big").read_bytes() == (tmp_path / "big").read_bytes()
    for _ in range(2):
        folder.delete("step_9/b")
    assert not folder.exists("step_9/b")
    assert folder.exists("step_9/big")


def test_a_missing_file_is_named(root: str, tmp_path: Path) -> None:
    folder = Folder(root)
    for action in (lambda: folder.read("no/such"), lambda: folder.download("no/such", tmp_path / "x")):
        with pytest.raises(ObjectAbsent) as caught:
            action()
        assert folder.uri("no/such") in str(caught.value)


def test_a_file_is_verified_where_it_is_and_when_it_is_fetched(root: str, tmp_path: Path) -> None:
    folder = Folder(root)
    folder.write("a/file", b"promised")
    entry = content_entry(b"promised", "a/file")
    folder.verify(entry)
    folder.fetch(entry, tmp_path / "down")
    assert file_entry(tmp_path / "down", "a/file") == entry
    for content, message in ((b"promise", "wrong size"), (b"Promised", "wrong content")):
        folder.write("a/file", content)
        for check in (folder.verify, lambda entry: folder.fetch(entry, tmp_path / "other")):
            with pytest.raises(IntegrityError, match=message) as caught:
                check(entry)
            assert folder.uri("a/file") in str(caught.value)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("form", ["{}", "{}/", "{}/.", "{}/x/../", "file://{}/", "."])
def test_names_are_relative_in_every_form_of_the_root(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x").mkdir()
    monkeypatch.chdir(tmp_path)
    folder = Folder(form.format(tmp_path))
    folder.write("a/b", b"1")
    assert (tmp_path / "a" / "b").read_bytes() == b"1"
    assert folder.sizes() == {"a/b": 1}
    assert folder.uri().endswith("/")


def test_addresses_are_joined_and_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert join("s3://bucket/", "/a/", "b") == "s3://bucket/a/b"
    assert split("s3://bucket/a/b") == ("s3://bucket/a", "b")
    assert split("/file") == ("/", "file")
    assert split("file") == (".", "file")
    assert key_of("s3://bucket/a/../b") == "a/../b"
    assert absolute("a/b") == f"{tmp_path}/a/b"
    assert absolute("s3://bucket/a") == "s3://bucket/a"
