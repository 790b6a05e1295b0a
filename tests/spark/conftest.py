from __future__ import annotations

import gzip
import json
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import log
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import zstandard
from hypothesis import HealthCheck, settings
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from include.contracts.manifests import CorpusRequest, RawShard
from include.contracts.records import canonical_json, to_plain
from include.recipes.corpus import CorpusRecipe, FilterRecipe, ReadRecipe, TokenizerRecipe
from spark_jobs.jobs.build_corpus import build_corpus
from tests.spark.file_s3 import S3, serve

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Write = Callable[[Path, Any], Path]

settings.register_profile("spark", max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("spark")

#: A recipe for texts of a sentence or two.
SMALL_RECIPE = CorpusRecipe(
    name="test",
    filter=FilterRecipe(min_characters=20),
    tokenizer=TokenizerRecipe(vocabulary_size=300),
    read=ReadRecipe(max_document_bytes=100_000),
    shard_tokens=20_000,
)


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    from spark_jobs.runtime.session import spark_session

    os.environ["SPARK_LOCAL_DIRS"] = str(tmp_path_factory.mktemp("spark"))
    session = spark_session("tests")
    yield session
    session.stop()


@pytest.fixture(scope="session")
def sentence() -> Callable[[random.Random, int], str]:
    """Text of so many words, drawn from a vocabulary of 3,000: two draws hardly share a 5-gram."""
    vocabulary = [f"{a}{b}{c}" for a in "bcdfgklmnp" for b in ("ana", "elo", "iri") for c in range(100)]
    words = ["".join(chr(97 + int(x)) if x.isdigit() else x for x in word) for word in vocabulary]

    def draw(generator: random.Random, count: int) -> str:
        return " ".join(generator.choices(words, k=count))

    return draw


def jsonl(records: Sequence[Any]) -> bytes:
    return b"".join(json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in records)


@pytest.fixture(scope="session")
def write_shard() -> Callable[[Path, Sequence[Any] | bytes], Path]:
    """Write records (or bytes as they are) to a shard, compressed as its name says."""

    def write(path: Path, records: Sequence[Any] | bytes) -> Path:
        content = records if isinstance(records, bytes) else jsonl(records)
        if path.name.endswith(".zst"):
            content = zstandard.ZstdCompressor().compress(content)
        elif path.name.endswith(".gz"):
            content = gzip.compress(content, mtime=0)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    return write


@pytest.fixture(scope="session")
def make_request() -> Callable[..., str]:
    """Write a request for local shards and a root; its URI."""
    from spark_jobs.readers.input_files import raw_shard

    def make(root: Path, shards: Sequence[Path | RawShard], recipe: CorpusRecipe = SMALL_RECIPE) -> str:
        inputs = tuple(shard if isinstance(shard, RawShard) else raw_shard(str(shard)) for shard in shards)
        root.mkdir(parents=True, exist_ok=True)
        request = CorpusRequest("v1", inputs, to_plain(recipe), "sources", str(root))
        path = root / "request.json"
        path.write_bytes(canonical_json(request))
        return str(path)

    return make


@pytest.fixture(scope="session")
def sentence_piece(sentence: Callable[[random.Random, int], str]) -> dict[str, str]:
    """Small ``tokenizer.json`` texts in SentencePiece's form, by kind. Documents end with ``</s>``."""
    texts = [sentence(random.Random(i), 200) for i in range(20)]
    return {"unigram": _unigram(texts), "bpe": _byte_fallback_bpe(texts)}


def _unigram(texts: Sequence[str]) -> str:
    """Build a unigram tokenizer by counting words, because the trainer's result differs from run to run."""
    counts = Counter(piece for text in texts for word in text.split() for piece in (f"▁{word}", *word, "▁"))
    pieces = sorted((piece, log(count / counts.total())) for piece, count in counts.items())
    tokenizer = Tokenizer(models.Unigram([("<unk>", 0.0), ("</s>", 0.0), *pieces], unk_id=0))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    tokenizer.add_special_tokens(["<unk>", "</s>"])
    content: str = tokenizer.to_str()
    return content


def _byte_fallback_bpe(texts: Sequence[str]) -> str:
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    steps = (decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0))
    tokenizer.decoder = decoders.Sequence(list(steps))
    special = ["<unk>", "</s>"]
    in_vocabulary = [*special, *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=in_vocabulary, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    plain = json.loads(tokenizer.to_str())
    # the trainer takes bytes for special tokens, by which a text could spell them out
    plain["added_tokens"] = plain["added_tokens"][: len(special)]
    return json.dumps(plain)


@pytest.fixture
def s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:

    root = tmp_path / "s3"
    for bucket in ("nexus-llm-raw", "nexus-llm-processed"):
        (root / bucket).mkdir(parents=True)
    with serve(root) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield server


@dataclass(frozen=True)
class Known:
    """Shards, and for every stage the drops that are in them by construction."""

    shards: list[Path]
    records: int
    dropped: dict[str, dict[str, int]]
    exact: dict[str, str]
    near: dict[str, str]


@pytest.fixture(scope="session")
def known(
    tmp_path_factory: pytest.TempPathFactory,
    write_shard: Write,
    sentence: Callable[[random.Random, int], str],
) -> Known:
    """600 good documents of three subsets, and every kind of record that is dropped."""
    folder = tmp_path_factory.mktemp("corpus") / "raw"
    generator = random.Random(7)
    texts = [sentence(generator, generator.randint(60, 120)) for _ in range(600)]
    lines = [json.dumps({"text": t, "meta": {"pile_set_name": "Large"}}).encode() for t in texts[:400]]
    bad = {
        b"{": ("read", "invalid_json"),
        b'{"text": "\xff"}': ("read", "invalid_utf8"),
        b'{"meta": {}}': ("read", "unknown_schema"),
        b'{"text": ""}': ("read", "no_text"),
        b'{"text": "' + b"q" * 400_000 + b'"}': ("read", "too_large"),
        rb'{"text": " \n \u0000 "}': ("normalise", "empty_after_normalisation"),
        json.dumps({"text": "café � " * 20}).encode(): ("normalise", "encoding_fault"),
        b'{"text": "too short"}': ("filter", "too_short"),
        json.dumps({"text": "#$%& *() {}[] " * 9 + "x"}).encode(): ("filter", "too_many_symbols"),
        json.dumps({"text": "again and again\n" * 30}).encode(): ("filter", "too_repetitive"),
    }
    # a copy is longer in bytes but equal after normalisation; a near copy is one word longer
    exact = {f"raw/a.jsonl.zst/{400 + len(bad) + i:09d}": f"raw/a.jsonl.zst/{i:09d}" for i in range(5)}
    copies = [json.dumps({"text": f"  {texts[i]}\r\n"}).encode() for i in range(5)]
    near = {f"raw/a.jsonl.zst/{i:09d}": f"raw/b.jsonl.gz/{200 + i - 10:09d}" for i in range(10, 14)}
    variants = [{"text": texts[i].upper() + " anew"} for i in range(10, 14)]
    second = [
        {"text": t, "red_pajama_subset": "arxiv" if i < 150 else "wiki"} for i, t in enumerate(texts[400:])
    ]
    shards = [
        write_shard(folder / "a.jsonl.zst", b"\n".join([*lines, *bad, *copies])),
        write_shard(folder / "b.jsonl.gz", [*second, *variants]),
        write_shard(folder / "empty.jsonl", b""),
        folder / "cut.jsonl.gz",
    ]
    whole = json.dumps({"text": sentence(generator, 90)}).encode()
    cut = gzip.compress(whole + b"\n" + generator.randbytes(9000).hex().encode())
    shards[-1].write_bytes(cut[:8000])
    dropped: dict[str, Counter[str]] = {}
    for stage, reason in bad.values():
        dropped.setdefault(stage, Counter())[reason] += 1
    dropped["read"].update(corrupt_shard=1)
    dropped["exact_dedup"] = Counter(exact_duplicate=5)
    dropped["near_dedup"] = Counter(near_duplicate=4)
    records = 400 + len(bad) + 5 + 204 + 2
    return Known(shards, records, {stage: dict(counts) for stage, counts in dropped.items()}, exact, near)


@pytest.fixture(scope="session")
def built(
    known: Known,
    spark: SparkSession,
    tmp_path_factory: pytest.TempPathFactory,
    make_request: Callable[..., str],
) -> Path:
    """The corpus of ``known``, built in the session of two cores."""
    root = tmp_path_factory.mktemp("built")
    build_corpus(spark, make_request(root, known.shards))
    return root
