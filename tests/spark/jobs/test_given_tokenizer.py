"""A corpus by a given tokenizer: what is refused before the work, what is counted, and whose ids it has."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer

from include.contracts.manifests import CorpusManifest, StageReport
from include.object_store import STORE
from include.recipes.corpus import CorpusRecipe, TokenizerRecipe
from spark_jobs.jobs import build_corpus, clean, deduplicate, tokenise
from tests.spark.tokens.conftest import as_bytes, byte_level, special, tokenizer_json

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Sentence = Callable[[random.Random, int], str]
SLOWER = "tokenise: by Hugging Face tokenizers, slower: gigatoken"


@pytest.fixture
def raw(tmp_path: Path, write_shard: Callable[[Path, Any], Path], sentence: Sentence) -> Path:
    """Forty English documents, and one in a script of its own, in two subsets."""
    generator = random.Random(4)
    records = [{"text": sentence(generator, 60)} for _ in range(40)]
    return write_shard(tmp_path / "raw/a.jsonl", [*records, {"text": "漢字仮名交じり文" * 30}])


def request_with(tmp_path: Path, raw: Path, make_request: Callable[..., str], content: bytes | str) -> str:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    recipe = CorpusRecipe("test", tokenizer=TokenizerRecipe(str(path), end_of_text="</s>"))
    return make_request(tmp_path / "out", [raw], replace(recipe, shard_tokens=100_000))


@pytest.mark.parametrize(("kind", "library"), [("bpe", "gigatoken"), ("unigram", "tokenizers")])
def test_a_tokenizer_of_sentence_piece_makes_shards_of_its_ids_and_a_slower_library_is_said(
    kind: str,
    library: str,
    tmp_path: Path,
    raw: Path,
    make_request: Callable[..., str],
    sentence_piece: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    spark: SparkSession,
) -> None:
    request = request_with(tmp_path, raw, make_request, sentence_piece[kind])
    for job in (clean, deduplicate, tokenise):
        assert job.main(["--request", request]) == 0
    slower = library == "tokenizers"
    assert (SLOWER in capsys.readouterr().err) == slower
    report = STORE.read_record(StageReport, str(tmp_path / "out/stages/tokenise.json"))
    assert report.details["library"] == library
    assert bool(report.details["library_reason"]) == slower
    manifest = STORE.read_record(CorpusManifest, str(tmp_path / "out/manifest.json"))
    (tokens,) = manifest.shards
    tokenizer = Tokenizer.from_str(sentence_piece[kind])
    texts = [row["text"] for row in pq.read_table(tmp_path / "out/documents").sort_by("id").to_pylist()]
    encoded = (tokenizer.encode(text, add_special_tokens=False).ids for text in texts)
    expected = [number for ids in encoded for number in (*ids, tokenizer.token_to_id("</s>"))]
    written = np.fromfile(tmp_path / f"out/tokens/{tokens.name}.bin", manifest.token_dtype)
    assert written.tolist() == expected


def test_documents_and_characters_without_a_token_are_counted_and_shown(
    tmp_path: Path,
    raw: Path,
    make_request: Callable[..., str],
    sentence: Sentence,
    capsys: pytest.CaptureFixture[str],
    spark: SparkSession,
) -> None:
    words = {word for i in range(500) for word in sentence(random.Random(i), 50).split()}
    vocabulary = {piece: number for number, piece in enumerate(["</s>", "<unk>", *sorted(words)])}
    model = {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"}
    plain = tokenizer_json(model, pre_tokenizer={"type": "WhitespaceSplit"})
    request = request_with(tmp_path, raw, make_request, as_bytes(plain))
    for job in (clean, deduplicate, tokenise):
        assert job.main(["--request", request]) == 0
    said = capsys.readouterr().out
    assert "warning: tokenizer: some or all white space has no token (WhitespaceSplit)" in said
    assert "warning: 240 of " in said and "characters are unknown to the vocabulary" in said
    report = STORE.read_record(StageReport, str(tmp_path / "out/stages/tokenise.json"))
    assert (report.documents_in, report.documents_out) == (41, 40)
    assert report.dropped == {"no_known_token": 1}
    assert report.details["characters_unknown"] == 240 and report.details["characters_without_token"] == 0
    manifest = STORE.read_record(CorpusManifest, str(tmp_path / "out/manifest.json"))
    assert manifest.documents_in == 41 and manifest.documents_kept == 40
    assert manifest.dropped["tokenise"] == {"no_known_token": 1}
    assert sum(shard.documents for shard in (*manifest.shards, *manifest.held_out_shards)) == 40
    page = (tmp_path / "out/report.html").read_text()
    assert "no_known_token" in page and "240 characters" in page and "WhitespaceSplit" in page


def test_a_corpus_without_any_token_of_the_vocabulary_is_refused(
    tmp_path: Path,
    raw: Path,
    make_request: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
    spark: SparkSession,
) -> None:
    model = {"type": "WordLevel", "vocab": {"</s>": 0, "<unk>": 1}, "unk_token": "<unk>"}
    plain = tokenizer_json(model, pre_tokenizer={"type": "WhitespaceSplit"})
    request = request_with(tmp_path, raw, make_request, as_bytes(plain))
    for job, code in ((clean, 0), (deduplicate, 0), (tokenise, 2)):
        assert job.main(["--request", request]) == code
    (error,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert "tokenizer.json: no document has a token of the vocabulary" in error


def test_a_tokenizer_that_cannot_be_right_is_refused_before_any_work(
    tmp_path: Path,
    raw: Path,
    make_request: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
    spark: SparkSession,
) -> None:
    wrong = as_bytes(byte_level() | {"added_tokens": [special("</s>", 0, special=False)]})
    request = request_with(tmp_path, raw, make_request, wrong)
    assert clean.main(["--request", request]) == 2
    assert not (tmp_path / "out/work/clean").exists()
    arguments = ["--input", str(raw.parent), "--output", str(tmp_path / "other"), "--end-of-text", "</s>"]
    assert build_corpus.main([*arguments, "--tokenizer", str(tmp_path / "tokenizer.json")]) == 2
    assert not (tmp_path / "other").exists()
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(errors) == 2 and all("the end-of-text token </s> is not special" in line for line in errors)


def test_a_word_as_end_of_text_token_of_a_trained_tokenizer_is_refused_before_any_work(
    tmp_path: Path, raw: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--input", str(raw.parent), "--output", str(tmp_path / "out"), "--end-of-text", "EOS"]
    assert build_corpus.main(arguments) == 2
    assert "tokenizer.end_of_text: the end-of-text token is a single word" in capsys.readouterr().err


def test_the_tokenizer_of_a_base_is_examined_before_the_new_shards_are_read(
    tmp_path: Path,
    raw: Path,
    write_shard: Callable[[Path, Any], Path],
    sentence: Sentence,
    capsys: pytest.CaptureFixture[str],
    spark: SparkSession,
) -> None:
    base, output = tmp_path / "base", tmp_path / "out"
    assert build_corpus.main(["--input", str(raw.parent), "--output", str(base)]) == 0
    write_shard(raw.parent / "b.jsonl", [{"text": sentence(random.Random(9), 60)}])
    path = base / "tokenizer/tokenizer.json"
    plain = json.loads(path.read_text())
    path.write_text(json.dumps(plain | {"model": {**plain["model"], "dropout": 0.1}}))
    arguments = ["--input", str(raw.parent), "--output", str(output), "--base", str(base)]
    assert build_corpus.main(arguments) == 2
    assert f"{path}: model.dropout" in capsys.readouterr().err
    assert not (output / "work/clean").exists()
