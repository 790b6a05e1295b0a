"""The command tries modules in the order of its seed, and a later part goes on where an earlier one ended."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.mutants.conftest import MODULE, git
from tools.mutants import __main__ as command
from tools.mutants.__main__ import choose, main


@pytest.fixture
def modules(repository: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The modules with a behaviour to break, in the order of seed 3; a third has none."""
    (repository / "include/gates/more.py").write_text(MODULE)
    (repository / "include/gates/empty.py").write_text('"""Nothing to break."""\n')
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "second")
    monkeypatch.setattr(command, "ROOT", repository)
    return [name for name in choose(repository, 3) if name.endswith(("sums.py", "more.py"))]


def tried(repository: Path) -> list[str]:
    found = json.loads((repository / "build/mutants/results.json").read_text())
    return [trial["module"] for trial in found]


@pytest.mark.parametrize("skip", [0, 1])
def test_a_later_part_leaves_the_modules_of_the_earlier_ones_out(
    modules: list[str], repository: Path, capsys: pytest.CaptureFixture[str], skip: int
) -> None:
    main(["--number", "1", "--seed", "3", "--skip", str(skip), "--minutes", "1"])
    assert tried(repository) == modules[skip : skip + 1]
    printed = capsys.readouterr().out
    assert "1 of 1 mutants decided" in printed
    assert f"SEED=3 SKIP={skip + 1} goes on after these modules" in printed


@pytest.mark.parametrize("arguments", [["--number", "0"], ["--jobs", "0"], ["--only", "nowhere"]])
def test_impossible_arguments_are_refused(
    modules: list[str], capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert main(arguments) == 2
    assert "give a number and jobs of at least 1" in capsys.readouterr().err


def test_a_choice_is_limited_to_folders_or_modules(modules: list[str], repository: Path) -> None:
    assert choose(repository, 3, ["include/gates/sums.py"]) == ["include/gates/sums.py"]
    assert sorted(choose(repository, 3, ["include/gates/"])) == sorted(
        name for name in choose(repository, 3) if name.startswith("include/gates/")
    )
    assert choose(repository, 3, ["include/gate"]) == []
