from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from include.contracts.errors import InputError
from spark_jobs.readers.input_folder import FoundFiles, find_files, shard_name

Write = Callable[[Path, Any], Path]


def found_in(folder: Path) -> tuple[list[str], dict[str, str]]:
    """Return files and reasons by their paths below the folder."""
    found: FoundFiles = find_files(str(folder))
    below = len(str(folder)) + 1
    return [uri[below:] for uri in found.files], {uri[below:]: why for uri, why in found.left_out.items()}


def touch(path: Path, content: bytes = b"{}") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_links_to_files_and_folders_are_followed(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere/pile/part.jsonl")
    touch(tmp_path / "elsewhere/blob")
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "pile").symlink_to("../elsewhere/pile")
    (folder / "train.jsonl").symlink_to("../elsewhere/blob")
    (folder / "chain").symlink_to("pile/part.jsonl")
    assert found_in(folder) == (
        ["pile/part.jsonl", "train.jsonl"],
        {"chain": f"the same file as {folder}/pile/part.jsonl"},
    )


def test_a_link_to_nothing_and_links_in_a_circle_are_named(tmp_path: Path) -> None:
    touch(tmp_path / "in/a/b.jsonl")
    (tmp_path / "in/dead.jsonl").symlink_to("gone.jsonl")
    (tmp_path / "in/a/up").symlink_to("..")
    (tmp_path / "in/one").symlink_to("two")
    (tmp_path / "in/two").symlink_to("one")
    files, left_out = found_in(tmp_path / "in")
    assert files == ["a/b.jsonl"]
    assert left_out["dead.jsonl"] == "a link to nothing: gone.jsonl"
    assert left_out["a/up"] == f"the same folder as {tmp_path}/in"
    assert left_out["one"].startswith("cannot be read: Too many levels")


def test_a_file_reached_twice_is_taken_under_its_shards_name(tmp_path: Path) -> None:
    blob = touch(tmp_path / "hub/blobs/0f3a")
    for revision in ("r1", "r2"):
        link = tmp_path / f"hub/snapshots/{revision}/train.jsonl"
        link.parent.mkdir(parents=True)
        link.symlink_to(blob)
    os.link(blob, tmp_path / "hub/again.json")
    files, left_out = found_in(tmp_path / "hub")
    assert files == ["again.json"]
    assert set(left_out) == {"blobs/0f3a", "snapshots/r1/train.jsonl", "snapshots/r2/train.jsonl"}
    (tmp_path / "hub/again.json").unlink()
    assert found_in(tmp_path / "hub")[0] == ["snapshots/r1/train.jsonl"]


def test_a_folder_reached_twice_keeps_its_own_name(tmp_path: Path) -> None:
    touch(tmp_path / "in/z/a.jsonl")
    (tmp_path / "in/first").symlink_to("z")
    assert found_in(tmp_path / "in") == (["z/a.jsonl"], {"first": f"the same folder as {tmp_path}/in/z"})


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    touch(tmp_path / "a.jsonl")
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "null.jsonl").symlink_to("/dev/null")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        files, left_out = found_in(tmp_path)
    assert files == ["a.jsonl"]
    assert left_out == {
        "pipe.jsonl": "a named pipe, not a file",
        "null.jsonl": "a device, not a file",
        "s": "a socket, not a file",
    }


def test_a_name_that_is_no_utf8_is_named_and_left_out(tmp_path: Path) -> None:
    touch(tmp_path / "a.jsonl")
    touch(tmp_path / os.fsdecode(b"caf\xe9.jsonl"))
    touch(tmp_path / os.fsdecode(b"folder\xff/a.jsonl"))
    files, left_out = found_in(tmp_path)
    assert files == ["a.jsonl"]
    assert left_out == dict.fromkeys(["caf\\xe9.jsonl", "folder\\xff"], "its name is not UTF-8: rename it")


def test_a_hidden_folder_is_left_out_and_an_input_below_one_is_read(tmp_path: Path) -> None:
    touch(tmp_path / ".cache/hub/.git/annex/a.jsonl")
    touch(tmp_path / ".cache/hub/b.jsonl")
    assert found_in(tmp_path / ".cache/hub") == (["b.jsonl"], {".git": "a hidden folder"})


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "a.jsonl")
    touch(tmp_path / "closed/b.jsonl")
    whole = Path.iterdir

    def closed(path: Path) -> Any:
        if path.name == "closed":
            raise PermissionError(13, "Permission denied")
        return whole(path)

    monkeypatch.setattr(Path, "iterdir", closed)
    assert found_in(tmp_path) == (["a.jsonl"], {"closed": "cannot be read: Permission denied"})


@pytest.mark.parametrize(
    ("name", "record"),
    [
        ("manifest.json", b'{"version": "v", "root_uri": "x", "request": {}, "subsets": {}, "files": []}'),
        (
            "request.json",
            b'{"version": "v", "root_uri": "", "inputs": [], "recipe": {}, "sources_sha256": ""}',
        ),
    ],
)
def test_a_corpus_version_is_left_out_by_its_record(name: str, record: bytes, tmp_path: Path) -> None:
    touch(tmp_path / "a.jsonl")
    touch(tmp_path / "old/documents/part.parquet")
    touch(tmp_path / "old" / name, record)
    assert found_in(tmp_path) == (["a.jsonl"], {"old": f"a corpus version: it has the {name} of one"})
    with pytest.raises(
        InputError, match=f"old: the folder is a corpus version: it has the {name}.*documents/"
    ):
        find_files(str(tmp_path / "old"))
    assert found_in(tmp_path / "old/documents")[0] == ["part.parquet"]


def test_a_manifest_of_something_else_leaves_nothing_out(tmp_path: Path) -> None:
    for index, record in enumerate((b'{"version": 1, "files": []}', b"[1]", b"no json", b"\xff")):
        touch(tmp_path / f"{index}/manifest.json", record)
        touch(tmp_path / f"{index}/a.jsonl")
    assert len(found_in(tmp_path)[0]) == 8


def test_a_missing_an_empty_and_no_folder_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the folder is empty"):
        find_files(str(tmp_path))
    with pytest.raises(InputError, match="gone: no such folder"):
        find_files(str(tmp_path / "gone"))
    touch(tmp_path / os.fsdecode(b"caf\xe9/a.jsonl"))
    with pytest.raises(InputError, match=r"caf\\xe9: the path is not UTF-8"):
        find_files(str(tmp_path / os.fsdecode(b"caf\xe9")))
    with pytest.raises(InputError, match=r"a\.jsonl: this is a file"):
        find_files(str(touch(tmp_path / "a.jsonl")))


@pytest.mark.parametrize(
    ("folder", "uri", "name"),
    [
        ("/data/raw", "/data/raw/2023-06/0000/a.jsonl", "raw/2023-06/0000/a.jsonl"),
        ("/data/raw", "/data/raw/a.jsonl", "raw/a.jsonl"),
        ("/", "/a.jsonl", "local/a.jsonl"),
        ("/data/raw", "/data/raw/a\nb\té.jsonl", "raw/a%0Ab%09é.jsonl"),
        ("s3://bucket/raw/", "s3://bucket/raw/a.jsonl", ""),
    ],
)
def test_a_shards_name_is_its_path_below_the_source(folder: str, uri: str, name: str) -> None:
    assert shard_name(folder, uri) == name
