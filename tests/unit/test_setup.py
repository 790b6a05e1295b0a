"""The scripts of infrastructure/setup cover every folder of tests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SETUP = ROOT / "infrastructure" / "setup"
FOLDERS = sorted(path.name for path in (ROOT / "tests").iterdir() if any(path.rglob("*.py")))


@pytest.mark.parametrize("folder", [name for name in FOLDERS if not name.endswith(".py")])
def test_make_check_types_every_folder_of_tests(folder: str) -> None:
    assert re.search(rf"\btests/{folder}(\s|$)", (SETUP / "check.sh").read_text())


@pytest.mark.parametrize("folder", [name for name in FOLDERS if name != "support"])
def test_make_test_runs_every_suite(folder: str) -> None:
    runs = re.findall(r"run_suites \d (.*?)(?: >|$)", (SETUP / "test.sh").read_text(), re.MULTILINE)
    assert folder in " ".join(runs).split()
