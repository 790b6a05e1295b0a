"""The files that the Dockerfiles copy, compared with those that .dockerignore admits."""

from __future__ import annotations

import fnmatch
from pathlib import Path

import pytest

from infrastructure.packaging.build import ROOT

DOCKERFILES = sorted((ROOT / "infrastructure/images").glob("*.Dockerfile"))


def copied(dockerfile: Path) -> list[str]:
    """Sources of COPY that come from the build context, without those that an argument names."""
    lines = (line.split() for line in dockerfile.read_text().splitlines())
    sources = (words[1:-1] for words in lines if words[:1] == ["COPY"] and not words[1].startswith("--"))
    return [source.rstrip("/") for names in sources for source in names if "$" not in source]


def let_through(source: str) -> bool:
    """Apply the last rule of .dockerignore that matches the path or a folder above it."""
    path, kept = Path(source), True
    for rule in (ROOT / ".dockerignore").read_text().split():
        names = [str(path), *(str(parent) for parent in path.parents)]
        if any(fnmatch.fnmatchcase(name, rule.lstrip("!")) for name in names):
            kept = rule.startswith("!")
    return kept


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_whatever_an_image_copies_is_in_the_context_of_its_build(dockerfile: Path) -> None:
    sources = copied(dockerfile)
    assert sources
    assert [source for source in sources if not (ROOT / source).exists()] == []
    assert [source for source in sources if not let_through(source)] == []
