"""Exports of the tokens of a corpus: whole, the same bytes each time, and refused where they must be."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
import pytest

from include.contracts.errors import ContractError, InputError
from include.contracts.manifests import CorpusManifest
from include.object_store import STORE
from spark_jobs.tokens.export import ExportManifest, export_tokens, main
from spark_jobs.tokens.export_task import Format, Split

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from tests.spark.file_s3 import S3

FILE_BYTES = 20_000


@pytest.fixture
def corpus(built: Path, tmp_path: Path) -> Path:
    """A copy that may be damaged."""
    return Path(shutil.copytree(built, tmp_path / "corpus"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("target", list(Format))
def test_an_export_is_whole_and_has_the_same_bytes_again(
    target: Format, built: Path, tmp_path: Path, spark: SparkSession
) -> None:
    corpus = STORE.read_record(CorpusManifest, str(built / "manifest.json"))
    for name in ("one", "two"):
        result = export_tokens(spark, str(built), str(tmp_path / name), target, list(Split), FILE_BYTES)
        held_out = sum(shard.documents for shard in corpus.held_out_shards)
        assert result["documents"] == held_out + sum(shard.documents for shard in corpus.shards)
        assert result["tokens"] == corpus.tokens + corpus.tokens_held_out
    one = contents(tmp_path / "one")
    assert one == contents(tmp_path / "two")
    manifest = STORE.read_record(ExportManifest, str(tmp_path / "one/manifest.json"))
    assert {entry.path for entry in manifest.files} == one.keys() - {"request.json", "manifest.json"}
    for entry in manifest.files:
        assert entry.sha256 == hashlib.sha256(one[entry.path]).hexdigest()
        if not entry.path.endswith("index.json"):
            assert entry.size_bytes == len(one[entry.path]) <= FILE_BYTES
    assert len(manifest.files) > len(corpus.shards) + len(corpus.held_out_shards) + 2
    assert result["bytes"] == sum(entry.size_bytes for entry in manifest.files)


def test_parquet_has_the_ids_of_the_sidecars_and_held_out_tokens_only_when_asked(
    built: Path, tmp_path: Path, spark: SparkSession
) -> None:
    export_tokens(spark, str(built), str(tmp_path / "out"), Format.PARQUET)
    corpus = STORE.read_record(CorpusManifest, str(built / "manifest.json"))
    assert not (tmp_path / "out/held_out_tokens").exists()
    for shard in corpus.shards:
        sidecar = pq.read_table(built / "tokens" / f"{shard.name}.documents.parquet")
        table = pq.read_table(tmp_path / "out/tokens" / f"{shard.name}.00000.parquet")
        assert table.column("id").to_pylist() == sidecar.column("id").to_pylist()
        assert table.column("length").to_pylist() == sidecar.column("tokens").to_pylist()
        assert set(table.column("subset").to_pylist()) == {shard.subset}
        tokens = table.column("tokens").combine_chunks().flatten().to_numpy()
        assert np.array_equal(tokens, np.fromfile(built / "tokens" / f"{shard.name}.bin", corpus.token_dtype))


def test_an_export_that_was_ended_is_done_again_and_a_complete_one_is_skipped(
    built: Path, tmp_path: Path, spark: SparkSession, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    first = export_tokens(spark, str(built), str(out), Format.MDS)
    whole = contents(out)
    (out / "manifest.json").unlink()
    (out / "tokens/index.json").unlink()
    (out / "tokens/.writing-left").write_bytes(b"half")
    export_tokens(spark, str(built), str(out), Format.MDS)
    assert contents(out) == whole
    assert "skipped" not in capsys.readouterr().out
    again = export_tokens(spark, str(built), str(out), Format.MDS)
    assert "export skipped, complete" in capsys.readouterr().out
    assert {**again, "seconds": 0} == {**first, "seconds": 0}


def test_an_output_that_holds_something_else_is_refused_and_left_alone(
    corpus: Path, tmp_path: Path, spark: SparkSession
) -> None:
    def refused(out: Path, target: Format = Format.PARQUET, file_bytes: int = FILE_BYTES) -> None:
        before = contents(out)
        with pytest.raises(InputError, match=f"{out}: the output holds something else"):
            export_tokens(spark, str(corpus), str(out), target, file_bytes=file_bytes)
        assert contents(out) == before

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("mine")
    refused(tmp_path / "mine")
    refused(corpus)
    out = tmp_path / "out"
    export_tokens(spark, str(corpus), str(out), Format.PARQUET, file_bytes=FILE_BYTES)
    refused(out, target=Format.MDS)
    refused(out, file_bytes=FILE_BYTES + 1)
    manifest = corpus / "manifest.json"
    manifest.write_bytes(manifest.read_bytes() + b"\n")
    refused(out)


def test_a_corpus_that_is_not_complete_is_refused_before_anything_is_written(
    corpus: Path, tmp_path: Path, spark: SparkSession, capsys: pytest.CaptureFixture[str]
) -> None:
    (corpus / "manifest.json").unlink()
    arguments = ["--corpus", str(corpus), "--format", "mds", "--output", str(tmp_path / "out")]
    assert main(arguments) == 2
    printed = capsys.readouterr().err
    assert f"error: {corpus}: no complete corpus version; expected a folder" in printed
    assert "to do: " in printed
    assert not (tmp_path / "out").exists()


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("ending", "damage", "message"),
    [
        ("bin", flip, "not the file that the manifest lists"),
        ("bin", lambda path: path.write_bytes(path.read_bytes()[:-2]), "got [0-9]+ bytes"),
        ("bin", Path.unlink, "the file is missing"),
        ("documents.parquet", flip, "not the file that the manifest lists"),
    ],
)
def test_a_damaged_shard_is_named_and_the_export_stays_without_its_marker(
    ending: str,
    damage: Callable[[Path], object],
    message: str,
    corpus: Path,
    tmp_path: Path,
    spark: SparkSession,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shard = STORE.read_record(CorpusManifest, str(corpus / "manifest.json")).shards[-1]
    damaged = corpus / "tokens" / f"{shard.name}.{ending}"
    damage(damaged)
    out = tmp_path / "out"
    assert main(["--corpus", str(corpus), "--format", "mds", "--output", str(out)]) == 2
    printed = capsys.readouterr().err
    assert f"error: {damaged}: " in printed and "to do: copy the file again" in printed
    assert re.search(message, printed)
    assert not (out / "manifest.json").exists()
    assert not (out / "tokens/index.json").exists()


def test_a_sidecar_that_does_not_fit_its_tokens_is_refused(
    corpus: Path, tmp_path: Path, spark: SparkSession, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = json.loads((corpus / "manifest.json").read_bytes())
    one, two = (shard["name"] for shard in manifest["shards"][:2])
    entries = {entry["path"]: entry for entry in manifest["files"]}
    mine, other = (entries[f"tokens/{name}.documents.parquet"] for name in (one, two))
    shutil.copy(corpus / other["path"], corpus / mine["path"])
    mine.update(size_bytes=other["size_bytes"], sha256=other["sha256"])
    (corpus / "manifest.json").write_text(json.dumps(manifest))
    assert main(["--corpus", str(corpus), "--format", "parquet", "--output", str(tmp_path / "out")]) == 2
    assert "the lengths of its documents do not fit its tokens" in capsys.readouterr().err


def test_a_manifest_without_the_file_of_a_shard_is_refused(
    corpus: Path, tmp_path: Path, spark: SparkSession
) -> None:
    manifest = json.loads((corpus / "manifest.json").read_bytes())
    manifest["files"] = [entry for entry in manifest["files"] if not entry["path"].endswith(".bin")]
    (corpus / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ContractError, match=r"without its file; expected tokens/.*\.bin"):
        export_tokens(spark, str(corpus), str(tmp_path / "out"), Format.MDS)


def test_a_split_without_documents_is_refused(corpus: Path, tmp_path: Path, spark: SparkSession) -> None:
    manifest = json.loads((corpus / "manifest.json").read_bytes())
    manifest["held_out_shards"] = []
    (corpus / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="held_out_tokens: the corpus has no document in this split"):
        export_tokens(spark, str(corpus), str(tmp_path / "out"), Format.MDS, list(Split))


def test_a_corpus_in_s3_is_exported_to_s3_as_it_is_locally(
    built: Path, tmp_path: Path, s3: S3, spark: SparkSession
) -> None:
    shutil.copytree(built, s3.root / "nexus-llm-processed/corpus/v1")
    corpus, output = "s3://nexus-llm-processed/corpus/v1/", "s3://nexus-llm-processed/export/"
    # a process of its own: the tasks of the running session do not see the endpoint of this test
    arguments = ["--corpus", corpus, "--format", "mds", "--output", output]
    command = [sys.executable, "-m", "spark_jobs.tokens.export", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    in_s3 = json.loads(done.stdout.splitlines()[-1])
    local = export_tokens(spark, str(built), str(tmp_path / "out"), Format.MDS)
    assert {**in_s3, "seconds": 0} == {"job": "export_tokens", **local, "seconds": 0}
    stored = contents(s3.root / "nexus-llm-processed/export/tokens")
    assert stored == contents(tmp_path / "out/tokens")
    with pytest.raises(InputError, match="s3://nexus-llm-processed/export/: the output holds something else"):
        export_tokens(spark, corpus, output, Format.PARQUET)
