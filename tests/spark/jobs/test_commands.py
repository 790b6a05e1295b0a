"""`make corpus` and `make bench-tokenize` as they are called: options in, files and one line of JSON out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.corpus import tokenise as bench_tokenise
from include.contracts.documents import CORPUS_JOBS
from include.contracts.manifests import CorpusRequest, StageReport
from include.contracts.records import parse_json
from include.recipes.near_dedup import profile
from spark_jobs.jobs import build_corpus

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from tests.spark.conftest import Known

STAGES = {
    "read",
    "normalise",
    "filter",
    "decontaminate",
    "scrub",
    "exact_dedup",
    "near_dedup",
    "tokenise",
}
RECIPE = """
name = "mine"

[filter]
min_characters = 20

[tokenizer]
vocabulary_size = 300
"""


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    path = tmp_path / "mine.toml"
    path.write_text(RECIPE)
    return str(path)


def last_line(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_make_corpus_prints_counts_and_seconds_by_stage_and_writes_every_part(
    known: Known,
    recipe: str,
    built: Path,
    tmp_path: Path,
    spark: SparkSession,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shards, out = str(known.shards[0].parent), tmp_path / "out"
    given = ["--tokenizer", str(built / "tokenizer/tokenizer.json"), "--profile", "slimpajama"]
    options = ["--input", shards, "--output", str(out), "--recipe", recipe, *given]
    assert build_corpus.main(options) == 0
    said = last_line(capsys)
    assert set(said) == {"job", "documents_in", "documents_kept", "bytes_in", "seconds", "stages"}
    assert set(said["stages"]) == STAGES
    assert all(set(stage) == {"seconds", "dropped"} for stage in said["stages"].values())
    dropped = sum(count for stage in said["stages"].values() for count in stage["dropped"].values())
    assert said["documents_in"] == said["documents_kept"] + dropped == known.records
    assert said["bytes_in"] == sum(path.stat().st_size for path in known.shards)
    seconds = {name: stage["seconds"] for name, stage in said["stages"].items()}
    assert min(seconds[name] for name in ("read", "near_dedup", "tokenise")) > 0
    normalise = parse_json(StageReport, (out / "stages/normalise.json").read_bytes(), where="stage")
    assert normalise.seconds > 0  # little, and not rounded
    assert sum(seconds.values()) <= said["seconds"]
    parts = ("documents/*.parquet", "duplicates/*.parquet", "tokens/*.bin", "manifest.json", "report.html")
    assert [part for part in parts if not list(out.glob(part))] == []
    made = parse_json(CorpusRequest, (out / "request.json").read_bytes(), where="request").recipe
    assert (made["name"], made["near_dedup"]["fold"]) == ("mine", profile("slimpajama").fold)


def test_until_a_stage_ends_there_and_a_missing_recipe_is_told(
    known: Known, recipe: str, tmp_path: Path, spark: SparkSession, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--input", str(known.shards[0].parent), "--output", str(tmp_path / "out")]
    assert build_corpus.main([*options, "--recipe", recipe, "--until", "near_dedup"]) == 0
    assert set(last_line(capsys)["stages"]) == STAGES - {"tokenise"}
    assert build_corpus.main([*options, "--recipe", str(tmp_path / "none.toml")]) == 2
    assert "none.toml: no such file" in capsys.readouterr().err


def test_bench_tokenise_prints_each_engine_and_finds_equal_ids(
    known: Known, built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--input", str(known.shards[0].parent), "--output", str(tmp_path / "out")]
    given = ["--tokenizer", str(built / "tokenizer/tokenizer.json"), "--processes", "1"]
    assert bench_tokenise.main([*options, *given]) == 0
    said = last_line(capsys)
    assert said["compared_documents"] > 0 and said["documents_with_other_ids"] == 0
    assert all(said[engine]["seconds"] > 0 for engine in ("ours", "encode_batch_fast", "tiktoken"))


def test_the_jobs_are_those_that_airflow_runs_and_waits_for() -> None:
    assert {job.run.__name__: job.stages[-1] for job in build_corpus.JOBS} == CORPUS_JOBS
