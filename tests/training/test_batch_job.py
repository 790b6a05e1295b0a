"""The entry point on AWS Batch, where no service brings a job its channels."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from include.contracts.errors import IntegrityError
from include.object_store.verification import file_entry
from tests.training.corpora import ROOT, Corpus, LocalRun, make_corpus, make_run
from training.batch_job import CORPUS_CHANNELS, fetch_channels
from training.job_inputs import MlRoot, read_training_job


def bare(run: LocalRun) -> LocalRun:
    """Take away the channels, which SageMaker would have brought."""
    shutil.rmtree(run.ml_root)
    return run


def finish(run: LocalRun) -> tuple[int, str]:
    settings = {"NEXUS_ML_ROOT": str(run.ml_root), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "training.batch_job", "--request", str(run.request)],
        env=os.environ | settings, cwd=ROOT, text=True, check=False, timeout=240,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return done.returncode, done.stdout


def test_a_job_on_batch_makes_the_same_model_as_one_of_sagemaker(
    tmp_path: Path, corpus: Corpus, uninterrupted: tuple[LocalRun, str]
) -> None:
    reference, _ = uninterrupted
    run = bare(make_run(tmp_path, corpus))
    code, output = finish(run)
    assert code == 0, output
    ours, theirs = (each.model / "model.safetensors" for each in (run, reference))
    assert ours.read_bytes() == theirs.read_bytes()


def test_the_channels_hold_what_the_corpus_has_for_training_and_nothing_else(
    tmp_path: Path, corpus: Corpus
) -> None:
    run = bare(make_run(tmp_path, corpus))
    size = fetch_channels(read_training_job(str(run.request)), MlRoot(run.ml_root))
    data = run.ml_root / "input" / "data"
    found = {path.relative_to(data).as_posix(): path for path in data.rglob("*") if path.is_file()}
    expected = {e.path: e for e in corpus.manifest.files if e.path.startswith(("tokens/", "tokenizer/"))}
    assert {name: file_entry(path, name) for name, path in found.items()} == expected
    assert size == sum(entry.size_bytes for entry in expected.values())
    assert {name.split("/")[0] for name in found} == set(CORPUS_CHANNELS)


def test_a_base_model_becomes_a_channel_with_its_folders(tmp_path: Path, corpus: Corpus) -> None:
    base = tmp_path / "base"
    (base / "parts").mkdir(parents=True)
    (base / "config.json").write_text("{}")
    (base / "parts" / "weights.bin").write_bytes(b"12345")
    run = bare(make_run(tmp_path / "run", corpus))
    job = read_training_job(str(run.request))
    request = replace(job.request, base_model_uri=f"{base}/")
    plain = fetch_channels(job, MlRoot(tmp_path / "plain"))
    assert fetch_channels(replace(job, request=request), MlRoot(run.ml_root)) == plain + 7
    assert (run.ml_root / "input/data/base_model/parts/weights.bin").read_bytes() == b"12345"


def test_a_damaged_file_of_the_corpus_ends_the_job_before_any_rank_starts(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus")
    run = bare(make_run(tmp_path / "run", corpus))
    (corpus.root / "tokenizer" / "tokenizer.json").write_text("{}")
    job = read_training_job(str(run.request))
    with pytest.raises(IntegrityError, match="tokenizer"):
        fetch_channels(job, MlRoot(tmp_path / "ml"))
    code, output = finish(run)
    assert code == 1
    assert "batch_job: failed" in output
    assert "ranks of" not in output
