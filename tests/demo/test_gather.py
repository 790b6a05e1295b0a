"""The default corpus is real text, in The Pile's form, and the same each time."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
import zstandard

from demo import gather as module
from demo.gather import gather, subset_of


@pytest.fixture
def environments(tmp_path: Path) -> Path:
    packages = tmp_path / "venvs" / "one" / "lib" / "python3.11" / "site-packages"
    files = {
        "alpha/code.py": "def alpha():\n    return 1\n",
        "alpha/guide.md": "# Alpha\n\nHow to use alpha.\n",
        "alpha-1.0.dist-info/METADATA": "Name: alpha\nVersion: 1.0\n\nThe readme of alpha.\n",
        "alpha-1.0.dist-info/licenses/LICENSE": "Permission is granted.\n",
        "alpha-1.0.dist-info/top_level.txt": "alpha\n",
        "alpha/data.bin": "no text",
        "alpha/empty.py": "",
    }
    for name, text in files.items():
        path = packages / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (packages / "alpha" / "latin.py").write_bytes(b"name = '\xe9'\n")
    return tmp_path / "venvs"


def records(folder: Path) -> list[dict[str, Any]]:
    found = []
    for path in sorted(folder.glob("*.jsonl.zst")):
        with zstandard.open(path, "rt", encoding="utf-8") as lines:
            found += [json.loads(line) for line in lines]
    return found


def test_every_kind_of_text_becomes_a_record_of_its_subset(environments: Path, tmp_path: Path) -> None:
    gather(environments, ["one"], tmp_path / "raw")
    by_subset = {record["meta"]["pile_set_name"]: record["text"] for record in records(tmp_path / "raw")}
    assert by_subset == {
        "Source Code": "def alpha():\n    return 1\n",
        "Documentation": "# Alpha\n\nHow to use alpha.\n",
        "READMEs": "The readme of alpha.\n",
        "Licences": "Permission is granted.\n",
    }


def test_the_same_environments_give_the_same_bytes(environments: Path, tmp_path: Path) -> None:
    def digest() -> dict[str, str]:
        gather(environments, ["one"], tmp_path / "raw")
        return {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (tmp_path / "raw").iterdir()
        }

    first = digest()
    (tmp_path / "raw" / "stale-00000.jsonl.zst").write_bytes(b"left by an earlier gathering")
    assert digest() == first


def test_an_environment_that_set_up_does_not_fill_adds_nothing(environments: Path, tmp_path: Path) -> None:
    gather(environments, ["one"], tmp_path / "raw")
    alone = records(tmp_path / "raw")
    beside = environments / "peers" / "lib" / "python3.11" / "site-packages" / "beta"
    beside.mkdir(parents=True)
    (beside / "code.py").write_text("def beta():\n    return 2\n")
    gather(environments, ["one"], tmp_path / "raw")
    assert records(tmp_path / "raw") == alone


def test_a_subset_stops_at_its_budget(
    environments: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = environments / "one" / "lib" / "python3.11" / "site-packages"
    for number in range(20):
        (packages / f"module_{number}.py").write_text("x = 1\n" * 100)
    monkeypatch.setitem(module.BUDGETS, "Source Code", 3000)
    shards = gather(environments, ["one"], tmp_path / "raw")
    source = sum(shard.text_bytes for shard in shards if shard.subset == "Source Code")
    assert 2000 < source <= 3000


def test_shards_are_cut_by_size_and_count_their_documents(
    environments: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = environments / "one" / "lib" / "python3.11" / "site-packages"
    for number in range(20):
        (packages / f"module_{number}.py").write_text("x = 1\n" * 100)
    monkeypatch.setattr(module, "_SHARD_BYTES", 2000)
    shards = [s for s in gather(environments, ["one"], tmp_path / "raw") if s.subset == "Source Code"]
    assert len(shards) > 3
    for shard in shards:
        raw = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(shard.path.read_bytes())).read()
        assert raw.count(b"\n") == shard.documents


@pytest.mark.parametrize(
    ("name", "subset"),
    [
        ("x/LICENSE.py", "Source Code"),
        ("x-1.dist-info/RECORD", None),
        ("x/readme.rst", "Documentation"),
        ("x/picture.png", None),
    ],
)
def test_the_subset_follows_from_the_name(name: Any, subset: Any) -> None:
    assert subset_of(Path(name)) == subset
