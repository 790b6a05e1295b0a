"""A corpus by a given tokenizer: which engine is taken, what is said of it, and whose ids the shards hold."""

from __future__ import annotations

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
from include.recipes.corpus import CorpusRecipe, TokenizerRecipe
from spark_jobs.jobs import clean, deduplicate, tokenise
from spark_jobs.storage import read_record

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SLOWER = "tokenise: by Hugging Face tokenizers, slower: gigatoken cannot load it"


@pytest.mark.parametrize(
    ("kind", "engine", "told"), [("bpe", "gigatoken", False), ("unigram", "tokenizers", True)]
)
def test_a_tokenizer_of_sentence_piece_makes_shards_of_its_ids_and_a_slower_engine_is_told(
    kind: str,
    engine: str,
    told: bool,
    tmp_path: Path,
    write_shard: Callable[[Path, Any], Path],
    sentence: Callable[[random.Random, int], str],
    make_request: Callable[..., str],
    sentence_piece: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    spark: SparkSession,
) -> None:
    (tmp_path / "tokenizer.json").write_text(sentence_piece[kind])
    generator = random.Random(4)
    shard = write_shard(tmp_path / "raw/a.jsonl", [{"text": sentence(generator, 60)} for _ in range(40)])
    given = TokenizerRecipe(str(tmp_path / "tokenizer.json"), end_of_text="</s>")
    recipe = CorpusRecipe("test", tokenizer=given)
    request = make_request(tmp_path / "out", [shard], replace(recipe, shard_tokens=100_000))
    for job in (clean, deduplicate, tokenise):
        assert job.main(["--request", request]) == 0
    assert (SLOWER in capsys.readouterr().err) == told
    report = read_record(StageReport, str(tmp_path / "out/stages/tokenise.json"))
    assert report.details["engine"] == engine
    assert bool(report.details["engine_reason"]) == told
    manifest = read_record(CorpusManifest, str(tmp_path / "out/manifest.json"))
    (tokens,) = manifest.shards
    tokenizer = Tokenizer.from_str(sentence_piece[kind])
    texts = [row["text"] for row in pq.read_table(tmp_path / "out/documents").sort_by("id").to_pylist()]
    encoded = (tokenizer.encode(text, add_special_tokens=False).ids for text in texts)
    expected = [number for ids in encoded for number in (*ids, tokenizer.token_to_id("</s>"))]
    written = np.fromfile(tmp_path / f"out/tokens/{tokens.name}.bin", manifest.token_dtype)
    assert written.tolist() == expected
