"""The documents say what is there: links, targets of make, and tests that they name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TARGETS = set(re.findall(r"^([a-z][a-z0-9-]*(?: [a-z0-9-]+)*):", (ROOT / "Makefile").read_text(), re.M))
NAMES = {name for line in TARGETS for name in line.split()}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_relative_links_lead_somewhere(document: Path) -> None:
    text = re.sub(r"`[^`\n]*`", "", document.read_text())  # a regular expression in a table is no link
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text)
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_targets_of_make_exist(document: Path) -> None:
    named = re.findall(r"`make ([a-z][a-z0-9-]*)", document.read_text())
    assert [name for name in named if name not in NAMES] == []


def test_every_bad_input_names_tests_that_exist() -> None:
    text = (ROOT / "docs" / "bad_input.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 15
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", row)
        assert named, row
        for path, function in named:
            source = (ROOT / path).read_text()
            assert not function or f"def {function}(" in source, f"{path}::{function}"
