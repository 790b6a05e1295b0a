from __future__ import annotations

import gzip
import json
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
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

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

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
    from spark_jobs.session import spark_session

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
    from spark_jobs.inputs import raw_shard

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
    """Tiny ``tokenizer.json`` as SentencePiece makes them, by kind; they end documents by ``</s>``."""
    texts = [sentence(random.Random(i), 200) for i in range(20)]
    return {"unigram": _unigram(texts), "bpe": _byte_fallback_bpe(texts)}


def _unigram(texts: Sequence[str]) -> str:
    """By counting: the trainer's result differs from run to run."""
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
