"""The text that a demo starts from when no folder is given."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from demo import gather, shards
from include.contracts.errors import InputError
from local_stack.config import StackConfig

ROOT = Path(__file__).parents[2]
LIST = "infrastructure/setup/environments.txt"


@pytest.fixture
def config(tmp_path: Path) -> StackConfig:
    """A repository whose set-up fills two environments, each with 3,000 bytes of source."""
    (tmp_path / LIST).parent.mkdir(parents=True)
    (tmp_path / LIST).write_text("one\ntwo\n")
    for name in ("one", "two", "peers"):
        package = tmp_path / ".venvs" / name / "lib" / "python3.11" / "site-packages" / "alpha"
        package.mkdir(parents=True)
        (package / "code.py").write_text(f"{name:5}" * 600)
    return StackConfig(tmp_path, tmp_path / "state", 4566, 8080, 8088)


def test_less_text_than_the_demo_needs_is_refused_with_what_to_do(
    config: StackConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "_NEEDED_BYTES", 6_001)
    with pytest.raises(InputError, match=r"too little text .* got 0\.0 MB; to do: run `make setup`"):
        shards.machine_text(config, tmp_path / "raw")


def test_an_environment_that_is_absent_is_named(config: StackConfig, tmp_path: Path) -> None:
    (config.repository / LIST).write_text("one\ntwo\nthree\n")
    with pytest.raises(InputError, match=r"expected 50 MB at least; got 0\.0 MB, three not set up"):
        shards.machine_text(config, tmp_path / "raw")


def test_text_of_the_listed_environments_alone_is_enough(
    config: StackConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "_NEEDED_BYTES", 6_000)
    (written,) = shards.machine_text(config, tmp_path / "raw")
    assert written.name == "source-code-00000.jsonl.zst"


def test_files_that_are_no_shards_are_left_out_by_their_path_in_the_folder(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "A document."}\n')
    (tmp_path / "more").mkdir()
    for number in range(7):
        (tmp_path / "more" / f"{number}.png").write_bytes(b"\x89PNG")
    chosen = shards.choose_shards(StackConfig(ROOT, tmp_path, 4566, 8080, 8088), tmp_path)
    assert chosen.files == (tmp_path / "a.jsonl",)
    assert list(chosen.left_out) == [f"more/{number}.png" for number in range(7)]
    assert "more/4.png (a PNG picture)" in str(chosen) and "more/5.png" not in str(chosen)
    assert "and 2 more; the full list will be in `left_out` of summary.json" in str(chosen)


def test_the_budgets_reach_what_the_demo_needs() -> None:
    assert sum(gather.BUDGETS.values()) > shards._NEEDED_BYTES


def test_set_up_fills_the_listed_environments() -> None:
    """Make is asked, so that another list in the Makefile would be seen."""
    printed = subprocess.run(
        ["make", "--no-print-directory", "-pn", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    ready = re.search(r"^READY := (.*)$", printed.stdout, re.MULTILINE)
    assert ready is not None
    config = StackConfig(ROOT, ROOT, 4566, 8080, 8088)
    assert [Path(path).parent.name for path in ready[1].split()] == list(config.environments)
