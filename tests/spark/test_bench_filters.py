"""`make bench-filters` compares whole processes, and the decisions of each filter on the same documents."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmarks.corpus import dedup, filter_shards, filters
from benchmarks.corpus.dedup import Measured
from benchmarks.corpus.filters import FilterAgreement, agreement, agreement_table, our_filters, spread_texts
from include.recipes.quality import WORD_RULES

#: A package of the peer's name that drops every text with a word in it.
PEER = """
class _Filter:
    def __init__(self, **options):
        self.options = options
    def filter(self, document):
        return (False, "has_no") if "no" in document.text.split() else True
GopherRepetitionFilter = GopherQualityFilter = C4QualityFilter = FineWebQualityFilter = _Filter
"""


@pytest.fixture
def shards(tmp_path: Path, write_shard: Callable[[Path, Any], Path]) -> Path:
    prose = "The harbour of the town was quiet, and the boats that had come home lay with their nets to dry. "
    texts = [f"{prose}Number {i} of them was old. " * 3 + "no " * (i % 2) for i in range(20)]
    for part in range(2):
        write_shard(tmp_path / f"raw/{part}.jsonl", [{"text": text} for text in texts[part::2]])
    return tmp_path / "raw"


@pytest.fixture
def peer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    package = tmp_path / "peer/datatrove"
    (package / "pipeline").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "pipeline/__init__.py").touch()
    (package / "pipeline/filters.py").write_text(PEER)
    document = "class Document:\n    def __init__(self, text, id):\n        self.text = text\n"
    (package / "data.py").write_text(document)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "peer"), prepend=":")
    script = tmp_path / "peer.py"
    script.write_text("print('{\"kept\": 1}')")
    return f"{sys.executable} {script}"


def test_our_process_filters_every_shard_and_counts(
    shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--input", str(shards), "--output", str(tmp_path / "out"), "--processes", "1"]
    assert filter_shards.main(arguments) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["documents"] == 20 == said["kept"] + sum(said["dropped"].values())
    assert pq.read_table(tmp_path / "out").num_rows == said["kept"]


def test_times_and_the_agreement_of_each_filter_are_printed(
    shards: Path,
    peer: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    measured = {
        "filter_shards": Measured(2.0, 3.9, 2**30, {"kept": 3}),
        "peer.py": Measured(60.0, 118.0, 2**30, {}),
    }

    def measure(command: list[str]) -> Measured:
        return next(one for name, one in measured.items() if any(name in word for word in command))

    monkeypatch.setattr(filters, "measure", measure)
    output = str(tmp_path / "out")
    assert filters.main(["--input", str(shards), "--output", output, "--peer", peer, "--compared", "10"]) == 0
    printed = capsys.readouterr().out
    said = json.loads(printed.splitlines()[-1])
    assert said["peer"]["ratio"] == 30.0 and said["kept"] == 3
    assert len(said["agreement"]) == 9
    decided = [
        json.loads(decision) for decision in (tmp_path / "out/decisions.jsonl").read_text().splitlines()
    ]
    assert len(decided) == 10 and {found["c4"] for found in decided} <= {None, "has_no"}
    assert "gopher_quality      english" in printed


def test_a_peer_that_fails_ends_the_benchmark_and_is_named(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = dedup.measure

    def measure(command: list[str]) -> Measured:
        ours = "benchmarks.corpus.filter_shards" in command
        return Measured(1.0, 1.0, 1, {}) if ours else real(command)

    monkeypatch.setattr(filters, "measure", measure)
    peer = f"{sys.executable} -c 'import sys; sys.exit(3)'"
    assert filters.main(["--input", str(shards), "--output", str(tmp_path / "out"), "--peer", peer]) == 1
    assert "bench-filters: ended 3" in capsys.readouterr().err


def test_compared_texts_are_spread_over_all_shards(shards: Path) -> None:
    texts = spread_texts(str(shards), 5)
    assert len(texts) == 5
    assert len(spread_texts(str(shards), 100)) == 20
    assert texts[0] == spread_texts(str(shards), 100)[0] and texts[-1] == spread_texts(str(shards), 100)[-1]


def test_agreement_counts_the_decisions_that_differ() -> None:
    ours, theirs = np.array([True, True, False, False]), np.array([True, False, True, False])
    found = agreement("c4", "whitespace", ours, theirs)
    assert found == FilterAgreement("c4", "whitespace", 4, 1, 1, 1) and found.share == 0.5
    assert agreement_table([found]).splitlines()[-1].split()[-2:] == ["50.00", "%"]


def test_each_filter_of_ours_decides_by_its_own_rules_alone() -> None:
    digits = " ".join(map(str, range(9)))
    texts = ["a few words", "word " * 200, f"the of and to {digits}"]
    kept = {(name, words): filters.kept_rows(texts, keep).tolist() for name, words, keep in our_filters()}
    assert {words for _, words in kept} == set(WORD_RULES)
    assert kept["gopher_quality", "english"] == [False, False, False]
    assert kept["gopher_repetition", "english"] == [True, False, True]
