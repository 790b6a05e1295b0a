"""Documents that are each well-formed, and that hang or blow up a careless pipeline."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from include.contracts.documents import Stage
from include.contracts.manifests import StageReport
from include.object_store import STORE
from include.recipes.corpus import CorpusRecipe, FilterRecipe, TokenizerRecipe
from include.recipes.near_dedup import profile
from spark_jobs.dedup import corpus
from spark_jobs.jobs.build_corpus import build_corpus

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Write = Callable[[Path, Any], Path]
Draw = Callable[[random.Random, int], str]

OPEN = CorpusRecipe(
    "open",
    filter=FilterRecipe(
        min_characters=1, max_symbol_share=1, max_duplicate_line_share=1, max_top_bigram_share=1
    ),
    tokenizer=TokenizerRecipe(vocabulary_size=300),
)


def rows(root: Path, folder: str) -> list[dict[str, Any]]:
    return [
        row for path in sorted((root / folder).glob("*.parquet")) for row in pq.read_table(path).to_pylist()
    ]


@pytest.mark.parametrize("name", ["fineweb", "slimpajama", "redpajama_v2", "bigcode"])
def test_a_document_of_one_repeated_character_costs_no_more_than_its_length(
    name: str, tmp_path: Path, spark: SparkSession, write_shard: Write, make_request: Any, sentence: Draw
) -> None:
    generator = random.Random(2)
    odd = [piece * 300_000 for piece in ("a", "é", "漢", "ab", "a ", "=\n", "0")]
    texts = [*odd, *(sentence(generator, 80) for _ in range(30))]
    request = make_request(
        tmp_path / "out",
        [write_shard(tmp_path / "odd.jsonl", [{"text": text} for text in texts])],
        replace(OPEN, near_dedup=profile(name)),
    )
    summary = build_corpus(spark, request)
    assert summary["documents_in"] == summary["documents_kept"] == len(texts)


@pytest.mark.parametrize(
    ("copies", "one_task_bytes"), [(1_000_000, 1 << 30), (100_000, 0)], ids=["one task", "many tasks"]
)
def test_a_million_identical_documents_leave_one(
    copies: int,
    one_task_bytes: int,
    tmp_path: Path,
    spark: SparkSession,
    write_shard: Write,
    make_request: Any,
    sentence: Draw,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(corpus, "ONE_TASK_BYTES", one_task_bytes)
    generator = random.Random(2)
    line = json.dumps({"text": sentence(generator, 10)}).encode() + b"\n"
    others = b"".join(json.dumps({"text": sentence(generator, 40)}).encode() + b"\n" for _ in range(30))
    contents = {"a.jsonl": line * (copies // 2), "b.jsonl": line * (copies // 2) + others}
    shards = [write_shard(tmp_path / name, content) for name, content in contents.items()]
    build_corpus(spark, make_request(tmp_path / "out", shards, OPEN), until=Stage.NEAR_DEDUP)
    exact = STORE.read_record(StageReport, str(tmp_path / "out/stages/exact_dedup.json"))
    assert (exact.documents_in, exact.dropped) == (copies + 30, {"exact_duplicate": copies - 1})
    near = STORE.read_record(StageReport, str(tmp_path / "out/stages/near_dedup.json"))
    assert near.documents_out == 31 and near.details["clusters"] == 0


def test_texts_that_a_profile_finds_no_words_in_are_counted_and_warned_of(
    tmp_path: Path,
    spark: SparkSession,
    write_shard: Write,
    make_request: Any,
    sentence: Draw,
    capsys: pytest.CaptureFixture[str],
) -> None:
    generator = random.Random(2)
    lao = ["".join(generator.choices("ກຂຄງຈສຊຍດຕຖທນບປຜຝພຟມຢຣລວຫອຮ", k=300)) for _ in range(10)]
    texts = [
        *lao,
        *(text.replace("ກ", "ຂ", 1) for text in lao),
        *(sentence(generator, 60) for _ in range(20)),
    ]
    shard = write_shard(tmp_path / "raw/a.jsonl", [{"text": text} for text in texts])
    found = {}
    for name in ("bigcode", "redpajama_v2"):
        request = make_request(tmp_path / name, [shard], replace(OPEN, near_dedup=profile(name)))
        build_corpus(spark, request)
        near = STORE.read_record(StageReport, str(tmp_path / name / "stages/near_dedup.json"))
        warned = "warning: near_dedup: 20 of 40 documents have fewer than 5 words" in capsys.readouterr().out
        shown = "20 documents had too few words" in (tmp_path / name / "report.html").read_text()
        found[name] = (near.documents_out, near.details["documents_not_compared"], warned, shown)
    assert found == {"bigcode": (40, 20, True, True), "redpajama_v2": (30, 0, False, False)}


def test_records_with_the_same_id_are_told_apart(
    tmp_path: Path, spark: SparkSession, write_shard: Write, make_request: Any, sentence: Draw
) -> None:
    generator = random.Random(2)
    records = [{"id": "same", "text": sentence(generator, 40)} for _ in range(40)]
    shard = write_shard(tmp_path / "ids.jsonl", records)
    summary = build_corpus(spark, make_request(tmp_path / "out", [shard], OPEN), until=Stage.NEAR_DEDUP)
    kept = rows(tmp_path / "out", "documents") + rows(tmp_path / "out", "held_out")
    assert summary["documents_kept"] == len({row["id"] for row in kept}) == 40
    assert all(json.loads(row["metadata"])["id"] == "same" for row in kept)


def test_a_bucket_of_many_documents_is_one_cluster(
    tmp_path: Path, spark: SparkSession, write_shard: Write, make_request: Any, sentence: Draw
) -> None:
    generator = random.Random(2)
    text = sentence(generator, 200)
    hot = [{"text": f"{text} {number}{sentence(generator, 1)}"} for number in range(2000)]
    shard = write_shard(tmp_path / "hot.jsonl", hot)
    build_corpus(spark, make_request(tmp_path / "out", [shard], OPEN), until=Stage.NEAR_DEDUP)
    near = STORE.read_record(StageReport, str(tmp_path / "out/stages/near_dedup.json"))
    assert near.documents_out == 1
    assert near.details["clusters"] == 1
