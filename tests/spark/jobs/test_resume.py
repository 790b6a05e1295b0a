from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest

from include.contracts.errors import ContractError
from include.contracts.manifests import CorpusManifest, CorpusRequest
from include.contracts.records import canonical_json, parse_json
from spark_jobs.jobs import clean as clean_job
from spark_jobs.jobs.build_corpus import build_corpus
from spark_jobs.jobs.clean import clean
from spark_jobs.report import page

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from tests.spark.conftest import Known


@pytest.fixture
def copied(built: Path, tmp_path: Path) -> Path:
    """The finished corpus under another root."""
    root = tmp_path / "copy"
    shutil.copytree(built, root)
    request = parse_json(CorpusRequest, (built / "request.json").read_bytes(), where="request")
    moved = CorpusRequest(request.version, request.inputs, request.recipe, request.sources_sha256, str(root))
    (root / "request.json").write_bytes(canonical_json(moved))
    return root


@pytest.fixture
def cleaned(copied: Path, spark: SparkSession) -> Path:
    """A corpus whose first job has ended, with files of an earlier build that `force` has removed."""
    shutil.rmtree(copied / "stages")
    (copied / "manifest.json").unlink()
    clean(spark, str(copied / "request.json"))
    return copied


def test_a_part_that_a_killed_clean_had_ended_is_not_read_again(
    known: Known, tmp_path: Path, spark: SparkSession, make_request: Callable[..., str]
) -> None:
    shards = [Path(shutil.copy(path, tmp_path)) for path in known.shards]
    request, out = make_request(tmp_path / "out", shards), tmp_path / "out"
    with patch.object(clean_job, "grouped", lambda shards: [[shard] for shard in shards]):
        clean(spark, request)
        expected = {path: path.read_bytes() for path in (out / "work").rglob("*.parquet")}
        # as after a kill: one part is half written, and no stage is complete
        shutil.rmtree(out / "stages")
        (out / "work/clean_index.json").unlink()
        (out / "work/clean_parts/part-00000.json").unlink()
        (out / "work/clean/part-00000-000.parquet").write_bytes(b"half")
        for path in sorted(shards, key=lambda path: path.name)[1:]:
            path.unlink()  # whoever reads them fails
        clean(spark, request)
        assert {path: path.read_bytes() for path in (out / "work").rglob("*.parquet")} == expected
        build_corpus(spark, request)
    manifest = parse_json(CorpusManifest, (out / "manifest.json").read_bytes(), where="manifest")
    assert (manifest.documents_in, manifest.dropped) == (known.records, known.dropped)


def test_documents_that_a_stage_loses_are_no_near_duplicates_but_an_error(
    cleaned: Path, spark: SparkSession
) -> None:
    index = cleaned / "work/clean_index.json"
    kept = json.loads(index.read_text())
    index.write_text(json.dumps(kept[:-1]))
    with pytest.raises(ContractError, match="documents do not add up"):
        build_corpus(spark, str(cleaned / "request.json"))


def files(root: Path) -> list[object]:
    return list(parse_json(CorpusManifest, (root / "manifest.json").read_bytes(), where="manifest").files)


def test_a_complete_corpus_is_not_built_again(
    copied: Path, spark: SparkSession, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in copied.rglob("*") if path.is_file()}
    build_corpus(spark, str(copied / "request.json"))
    assert {path: path.stat().st_mtime_ns for path in copied.rglob("*") if path.is_file()} == before
    printed = capsys.readouterr().out
    assert all(f"progress: {stage} skipped" in printed for stage in ("read", "near_dedup", "tokenise"))


def test_a_job_killed_while_it_deduplicated_is_resumed_to_the_same_bytes(
    cleaned: Path, built: Path, spark: SparkSession, capsys: pytest.CaptureFixture[str]
) -> None:
    # what a killed stage leaves: half a file, a file of no use, output of later stages
    next((cleaned / "documents").glob("*.parquet")).write_bytes(b"half")
    (cleaned / "documents/part-99999.parquet").write_bytes(b"stale")
    (cleaned / "tokens/stale-00000.bin").write_bytes(b"stale")
    (cleaned / "work/decisions/part=0/file=0").mkdir(parents=True, exist_ok=True)
    (cleaned / "work/decisions/part=0/file=0/extra.parquet").write_bytes(b"half")
    capsys.readouterr()
    build_corpus(spark, str(cleaned / "request.json"))
    assert "progress: read skipped" in capsys.readouterr().out
    assert files(cleaned) == files(built)
    assert not list(cleaned.rglob("*stale*")) and not (cleaned / "documents/part-99999.parquet").exists()


def test_what_only_the_jobs_read_is_deleted_once_the_corpus_is_whole(
    copied: Path, spark: SparkSession
) -> None:
    assert {path.name for path in (copied / "work").iterdir()} == {
        "clean_index.json",
        "examples.json",
        "outputs_index.json",
    }
    (copied / "work/tokens").mkdir()  # of a job that was killed when its manifest was written
    (copied / "work/tokens/part.bin").write_bytes(b"x")
    build_corpus(spark, str(copied / "request.json"))
    assert not list((copied / "work").rglob("*.bin"))


def test_a_job_killed_while_it_writes_the_report_has_left_no_version_without_one(
    cleaned: Path, spark: SparkSession
) -> None:
    (cleaned / "report.html").unlink()
    with patch.object(page, "write_page", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        build_corpus(spark, str(cleaned / "request.json"))
    assert not (cleaned / "manifest.json").exists()
    build_corpus(spark, str(cleaned / "request.json"))
    assert (cleaned / "report.html").exists() and (cleaned / "manifest.json").exists()


def test_the_order_of_shards_changes_no_byte(
    known: Known, built: Path, tmp_path: Path, spark: SparkSession, make_request: Callable[..., str]
) -> None:
    build_corpus(spark, make_request(tmp_path / "other", list(reversed(known.shards))))
    assert files(tmp_path / "other") == files(built)
