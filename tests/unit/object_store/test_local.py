"""Folders of this machine alone: links, rights, names, killed writers, full disks."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from include.contracts.errors import InputError
from include.object_store import ObjectAbsent, ObjectStore, StorageRefused
from include.object_store.local import LocalFiles

STORE = ObjectStore()


def names(folder: Path) -> list[str]:
    return [entry.uri.removeprefix(f"{folder}/") for entry in STORE.list(str(folder))]


def test_a_file_has_the_hash_of_its_bytes_as_tag_in_every_form_of_its_address(tmp_path: Path) -> None:
    path = tmp_path / "ä b%"
    path.write_bytes(b"abc")
    assert STORE.stat(str(path)) == STORE.stat(path.as_uri())
    assert STORE.stat(str(path)).etag.startswith("ba7816bf")


def test_what_a_killed_writer_left_is_neither_listed_nor_in_the_way(tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom include.object_store import STORE\n"
        "with STORE.publish(sys.argv[1]) as path:\n    path.write_bytes(b'half')\n    os._exit(9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "folder/file")], check=False)
    assert done.returncode == 9
    assert len(list((tmp_path / "folder").iterdir())) == 1
    assert names(tmp_path) == []
    STORE.write(str(tmp_path / "folder/file"), b"whole")
    assert names(tmp_path) == ["folder/file"]
    STORE.delete_folder(str(tmp_path / "folder"))
    assert list(tmp_path.iterdir()) == []


def test_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "b").write_bytes(b"12")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").symlink_to(tmp_path / "elsewhere" / "b")
    (tmp_path / "folder" / "linked").symlink_to(tmp_path / "elsewhere")
    listed = {entry.uri: entry.size_bytes for entry in STORE.list(str(tmp_path / "folder"))}
    assert listed == {f"{tmp_path}/folder/file": 2, f"{tmp_path}/folder/linked/b": 2}


def test_a_link_to_nothing_or_into_itself_is_named(tmp_path: Path) -> None:
    (tmp_path / "gone").symlink_to(tmp_path / "no such")
    with pytest.raises(InputError, match=f"{tmp_path}/gone: the link leads nowhere"):
        names(tmp_path)
    (tmp_path / "gone").unlink()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    with pytest.raises(InputError, match=f"{tmp_path}/a/loop: the link leads into its own folder"):
        names(tmp_path)


def test_a_name_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.jsonl")).write_bytes(b"")
    with pytest.raises(InputError, match=r"caf\\xe9\.jsonl: the file name is not UTF-8") as caught:
        names(tmp_path)
    str(caught.value).encode()


def test_deleting_a_folder_spares_what_its_links_lead_to(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_bytes(b"x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link").symlink_to(tmp_path / "kept")
    STORE.delete_folder(str(tmp_path / "folder"))
    assert (tmp_path / "kept" / "file").exists()
    assert not (tmp_path / "folder").exists()
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    with pytest.raises(InputError, match="a link is not deleted as a folder"):
        STORE.delete_folder(str(tmp_path / "link"))


def test_a_forbidden_file_is_denied_and_not_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may read everything, hence a file system that refuses."""

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "x")

    for name in ("is_file", "open", "read_bytes", "is_dir", "unlink"):
        monkeypatch.setattr(Path, name, refused)
    uri = str(tmp_path / "file")
    for read in (
        STORE.exists,
        STORE.find,
        STORE.read,
        STORE.open,
        STORE.delete,
        lambda u: list(STORE.list(u)),
    ):
        with pytest.raises(InputError, match=f"{uri}: access denied") as caught:
            read(uri)
        assert not isinstance(caught.value, ObjectAbsent)


def test_a_full_disk_says_so_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StorageRefused, match=r"file: the disk is full.*free space"):
        STORE.write(str(tmp_path / "file"), b"x")
    assert list(tmp_path.iterdir()) == []


def test_a_file_below_a_file_is_absent_and_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    below = str(tmp_path / "file" / "below")
    assert not STORE.exists(below)
    with pytest.raises(ObjectAbsent):
        STORE.read(below)
    with pytest.raises((InputError, StorageRefused), match="below"):
        STORE.write(below, b"y")


def test_files_of_one_disk_are_linked_and_the_source_stays_as_it_is(tmp_path: Path) -> None:
    source, target = tmp_path / "a", tmp_path / "b" / "c"
    source.write_bytes(b"one")
    STORE.copy(str(source), str(target))
    assert source.stat().st_ino == target.stat().st_ino
    STORE.write(str(target), b"two")
    assert source.read_bytes() == b"one"


def test_a_file_of_another_disk_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def other_disk(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", other_disk)
    (tmp_path / "a").write_bytes(b"one")
    LocalFiles().copy(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"one"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
