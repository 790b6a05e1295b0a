"""The documents say what is there: links, targets of make, and tests that they name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
DOCUMENTS += sorted((ROOT / "docs").rglob("*.md"))
#: Documents that describe the code as it is; decisions and the changelog also name what was removed.
CURRENT = [
    path for path in DOCUMENTS if path.name != "CHANGELOG.md" and path.parent.name not in ("adr", "reference")
]
SOURCE_SUFFIXES = (".py", ".toml", ".sh", ".Dockerfile")
#: Names that the code puts together.
FOREIGN = {"crawled_documents"}
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


@pytest.mark.parametrize("document", CURRENT, ids=lambda path: path.name)
def test_paths_of_this_repository_exist(document: Path) -> None:
    named = re.findall(r"`((?:[A-Za-z_.-]+/)+[A-Za-z0-9_.-]*)(?:::\w+)?`", document.read_text())
    inside = [path for path in named if (ROOT / path.partition("/")[0]).is_dir() and path[0] != "."]
    inside = [path for path in inside if not path.startswith("build/")]
    assert [path for path in inside if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("document", CURRENT, ids=lambda path: path.name)
def test_identifiers_occur_in_the_source(document: Path, words_of_the_source: set[str]) -> None:
    spans = re.findall(r"`([^`\n/]+)`", document.read_text())
    named = {word for span in spans for word in re.findall(r"\b[a-z][a-z0-9]*(?:_[a-z0-9]+)+\b", span)}
    assert named - words_of_the_source - FOREIGN == set()


@pytest.fixture(scope="module")
def words_of_the_source() -> set[str]:
    folders = [
        path for path in ROOT.iterdir() if path.is_dir() and path.name[0] != "." and path.name != "build"
    ]
    paths = [path for folder in folders for path in folder.rglob("*") if path.suffix in SOURCE_SUFFIXES]
    text = "\n".join(path.read_text() for path in paths if path != Path(__file__))
    return set(re.findall(r"[A-Za-z_]\w*", text)) | {path.stem for path in paths}


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
