"""A folder is a base model, a model or a corpus only if every file that it needs is there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from include.checks import manifests
from include.checks.manifests import missing_files, require_base_model, verified_model, verify_corpus
from include.contracts.errors import InputError, IntegrityError
from include.contracts.manifests import FileEntry
from include.contracts.storage import S3Uri
from include.object_store import ObjectStat, ObjectStore

FOLDER = S3Uri("models", "base/")


INDEX = "model.safetensors.index.json"
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
WEIGHT_MAP = json.dumps({"metadata": {}, "weight_map": {"a": SHARDS[0], "b": SHARDS[1], "c": SHARDS[1]}})


class Listing(ObjectStore):
    """A store that only lists objects by name below FOLDER, with their sizes, and reads one index."""

    def __init__(self, objects: dict[str, int], index: str = WEIGHT_MAP) -> None:
        self.objects = objects
        self.index = index

    def list(self, folder: Any, starts_with: str = "") -> Iterator[ObjectStat]:
        for name, size in self.objects.items():
            yield ObjectStat(f"{FOLDER}{name}", size, "etag")

    def read(self, uri: Any) -> bytes:
        assert str(uri) == f"{FOLDER}{INDEX}"
        return self.index.encode()


def listed(monkeypatch: pytest.MonkeyPatch, *names: str, index: str = WEIGHT_MAP) -> None:
    monkeypatch.setattr(manifests, "ObjectStore", lambda: Listing(dict.fromkeys(names, 1), index))


@pytest.mark.parametrize(
    "names",
    [
        ("config.json", "tokenizer.json", "model.safetensors"),
        ("config.json", "tokenizer.json", INDEX, *SHARDS),
    ],
)
def test_a_configuration_with_tokenizer_and_weights_is_a_base_model(
    monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
) -> None:
    listed(monkeypatch, *names)
    require_base_model(FOLDER)


@pytest.mark.parametrize(
    ("names", "got"),
    [
        ((), "nothing; missing: config.json, tokenizer.json, model.safetensors"),
        (("config.json", "tokenizer.json"), "config.json, tokenizer.json; missing: model.safetensors"),
        (("tokenizer.json", "model.safetensors"), "model.safetensors, tokenizer.json; missing: config.json"),
        (("config.json", "model.safetensors"), "config.json, model.safetensors; missing: tokenizer.json"),
        (("config.json", "tokenizer.json", "weights/model.safetensors"), "missing: model.safetensors"),
        (("config.json", "tokenizer.json", "consolidated.safetensors"), "missing: model.safetensors"),
        (("config.json", "tokenizer.json", "adapter_model.safetensors"), "missing: model.safetensors"),
        (("config.json", "tokenizer.json", INDEX, SHARDS[0]), f"missing: {SHARDS[1]}"),
        (("config.json", "tokenizer.json", *SHARDS), "missing: model.safetensors"),
        (("config.json", INDEX, *SHARDS), "missing: tokenizer.json"),
        (("tokenizer.json", INDEX, *SHARDS), "missing: config.json"),
        (tuple("gfedcba"), "a, b, c, d, e; missing: config.json"),
    ],
)
def test_anything_else_is_refused_with_what_lies_there_and_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...], got: str
) -> None:
    listed(monkeypatch, *names)
    with pytest.raises(InputError, match="no base model") as refusal:
        require_base_model(FOLDER)
    assert got in str(refusal.value)


@pytest.mark.parametrize(
    "index",
    ["{", "[]", '{"weight_map": []}', '{"weight_map": {"a": 5}}', '{"weight_map": {"a": {}}}', "[" * 100_000],
    ids=range(6),
)
def test_an_index_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch, index: str) -> None:
    listed(monkeypatch, "config.json", "tokenizer.json", INDEX, *SHARDS, index=index)
    with pytest.raises(InputError, match=rf"base/{INDEX}: is not an index of safetensors shards"):
        require_base_model(FOLDER)


def test_a_file_is_missing_if_it_is_absent_or_of_another_size() -> None:
    files = tuple(FileEntry(name, size, "0" * 64) for name, size in (("a", 1), ("b", 2), ("c", 3), ("d", 0)))
    store = Listing({"a": 1, "b": 3, "e": 9, "d": 0})
    assert missing_files(store, FOLDER, files) == ["b", "c"]
    assert missing_files(store, FOLDER, files[:1]) == []


class Records(Listing):
    """A store with a manifest: its files, and what it was made from."""

    def __init__(self, files: tuple[FileEntry, ...], parent: Any, present: set[str], **objects: int) -> None:
        super().__init__(objects)
        self.files, self.parent, self.present = files, parent, present

    def exists(self, uri: Any) -> bool:
        return str(uri).rpartition("/")[2] in self.present

    def referenced_record(self, kind: Any, uri: Any, sha256: str = "") -> Any:
        manifest = type("M", (), {"files": self.files, "parent": self.parent, "root_uri": str(FOLDER)})
        return manifest, type("R", (), {"uri": str(uri), "sha256": "f" * 64})

    def read_record(self, kind: Any, uri: Any, sha256: str = "") -> Any:
        return {"steps": 3}


FILES = (FileEntry("a", 1, "0" * 64), FileEntry("b", 2, "0" * 64))
REPORT = FOLDER / "report.json"


@pytest.mark.parametrize(
    ("present", "objects", "parent", "complete"),
    [
        ({"manifest.json", "report.json"}, {"a": 1, "b": 2}, "p", True),
        ({"manifest.json", "report.json"}, {"a": 1, "b": 2}, "other", False),
        ({"manifest.json", "report.json"}, {"a": 1}, "p", False),
        ({"manifest.json"}, {"a": 1, "b": 2}, "p", False),
        ({"report.json"}, {"a": 1, "b": 2}, "p", False),
    ],
)
def test_a_model_counts_only_if_all_of_it_is_there_and_it_was_made_from_its_parent(
    monkeypatch: pytest.MonkeyPatch, present: set[str], objects: dict[str, int], parent: str, complete: bool
) -> None:
    monkeypatch.setattr(manifests, "ObjectStore", lambda: Records(FILES, "p", present, **objects))
    found = verified_model(FOLDER, REPORT, parent)  # type: ignore[arg-type]
    expected = {
        "manifest_uri": f"{FOLDER}manifest.json",
        "manifest_sha256": "f" * 64,
        "report": {"steps": 3},
    }
    assert found == (expected if complete else None)


def test_a_model_needs_neither_a_report_nor_a_parent_that_nobody_asks_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(manifests, "ObjectStore", lambda: Records(FILES, "p", {"manifest.json"}, a=1, b=2))
    found = verified_model(FOLDER)
    assert found is not None
    assert "report" not in found


def test_a_corpus_whose_files_are_missing_is_named_with_the_first_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = tuple(FileEntry(name, 1, "0" * 64) for name in "abcdefg")
    monkeypatch.setattr(manifests, "ObjectStore", lambda: Records(files, "p", set(), a=1))
    with pytest.raises(IntegrityError, match="expected 7 files; got 6 missing: b, c, d, e, f"):
        verify_corpus(FOLDER / "manifest.json")
    monkeypatch.setattr(manifests, "ObjectStore", lambda: Records(files[:1], "p", set(), a=1))
    _, reference = verify_corpus(FOLDER / "manifest.json")
    assert reference.uri == f"{FOLDER}manifest.json"
