"""The corpora that the report is tested on: that of tests/spark/jobs, and one whose documents are hostile."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from spark_jobs.corpus_version.layout import VersionLayout
from spark_jobs.jobs.build_corpus import build_corpus
from spark_jobs.report.page import write_report

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ATTACK = '</pre></style></svg>--><script>alert(1)</script><img src="http://a.example/x" onerror=alert(1)>'


@dataclass
class Page(HTMLParser):
    """A parsed page: its elements, their text, and its tables by section."""

    html: str
    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    text: str = ""
    sections: dict[str, str] = field(default_factory=dict)
    rows: dict[str, list[list[str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()
        self._section, self._in_style, self._in_cell = "", False, False
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._in_style = tag == "style"
        if tag == "h2":
            self._section = dict(attrs)["id"] or ""
        if tag == "tr":
            self.rows.setdefault(self._section, []).append([])
        if tag in ("td", "th"):
            self.rows[self._section][-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th", "style"):
            self._in_style = self._in_cell = False

    def handle_data(self, data: str) -> None:
        if self._in_style:
            return
        self.text += data
        self.sections[self._section] = self.sections.get(self._section, "") + data
        if self._in_cell:
            self.rows[self._section][-1][-1] += data


@pytest.fixture(scope="session")
def page_of() -> Callable[[Path], Page]:
    """Write the report of a corpus and read it. The corpus, which tests share, stays as it was."""

    def read(root: Path) -> Page:
        path = root / "report.html"
        before = path.read_bytes() if path.exists() else None
        assert write_report(VersionLayout(str(root))) == str(path)
        html = path.read_text("utf-8")
        if before is None:
            path.unlink()
        else:
            path.write_bytes(before)
        return Page(html)

    return read


@pytest.fixture
def corpus(built: Path, tmp_path: Path) -> Path:
    """A copy of ``built`` to change."""
    return Path(shutil.copytree(built, tmp_path / "corpus"))


@pytest.fixture(scope="session")
def hostile(
    spark: SparkSession,
    tmp_path_factory: pytest.TempPathFactory,
    write_shard: Callable[[Path, Any], Path],
    sentence: Callable[[random.Random, int], str],
    make_request: Callable[..., str],
) -> Path:
    """A corpus whose subsets, texts and kept duplicates all hold the attack."""
    generator = random.Random(3)
    texts = [f"{ATTACK} {sentence(generator, 80)}" for _ in range(40)]
    subsets = ["<script>alert(1)</script>", "$a^{$", "names of some words 字"]
    records = [
        {"text": text, "meta": {"pile_set_name": subsets[i % 3]}}
        for i, text in enumerate([*texts, *(f"{text} anew" for text in texts[:5])])
    ]
    root = tmp_path_factory.mktemp("hostile")
    build_corpus(spark, make_request(root, [write_shard(root / "raw/a.jsonl", records)]))
    return root


@pytest.fixture(scope="session")
def attack() -> str:
    """Return a text that must never run as part of a page."""
    return ATTACK
