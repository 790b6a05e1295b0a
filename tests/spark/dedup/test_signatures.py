from __future__ import annotations

import hashlib
import random
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from include.recipes.near_dedup import NearDedupRecipe, profile
from spark_jobs.dedup.signatures import compute_signatures
from tests.spark.kernels.test_hashing import murmur3_128

WORDS = 150

#: The minima and band keys of these texts before there were profiles.
TEXTS = [
    "The quick brown fox jumps over the lazy dog; the dog, at 3.14 m, did not mind.\n" * 3,
    "Ångström naïve café — ΟΔΟΣ οδός, Straße. 1.2.3 and 12,5 cost €7!",
    "漢字かな交じり文と한국어 текст, и ещё 42 слова",
    "one two three",
    "e\u0301tude e\u0323\u0301 x9y _under_score_ 007 ٣٤٥",
    "...",
]
MINIMA_SHA256 = "2be81b42143ecdff608d2bef885a7e2bd48f8c77f76deed44060ea7c559d86ea"
BANDS_SHA256 = "86199b12e0a696dd3bb9137796a28188c8b4850770c0af6edcb822f2579fd65f"


def bands(texts: list[str], recipe: NearDedupRecipe) -> np.ndarray:
    return np.array(signatures_of(texts, recipe).column("bands").to_pylist())


def signatures_of(texts: list[str], recipe: NearDedupRecipe) -> pa.RecordBatch:
    columns = {
        "doc": pa.array(range(len(texts)), pa.int64()),
        "id": [f"s/{i}" for i in range(len(texts))],
        "text": texts,
        "subset": ["s"] * len(texts),
        "characters": [len(text) for text in texts],
    }
    return compute_signatures(pa.RecordBatch.from_pydict(columns), 0, 0, recipe)


def test_fineweb_signatures_are_those_of_every_index_that_was_written() -> None:
    batch = signatures_of(TEXTS, profile("fineweb"))
    minima = np.array(batch.column("minhash").to_pylist(), np.int32)
    keys = np.array(batch.column("bands").to_pylist(), np.int64)
    assert batch.column("ngrams").to_pylist() == [47, 10, 11, 1, 3, 0]
    assert hashlib.sha256(minima.tobytes()).hexdigest() == MINIMA_SHA256
    assert hashlib.sha256(keys.tobytes()).hexdigest() == BANDS_SHA256


def test_the_hashes_of_text_and_id_are_murmur3_in_two_halves() -> None:
    batch = signatures_of(TEXTS, profile("fineweb"))
    texts = [murmur3_128(text.encode()) for text in TEXTS]
    ids = [murmur3_128(f"s/{i}".encode()) for i in range(len(TEXTS))]
    low, high = (np.array(half, np.uint64).view(np.int64).tolist() for half in zip(*texts, strict=True))
    assert batch.column("text_low").to_pylist() == low
    assert batch.column("text_high").to_pylist() == high
    assert batch.column("id_hash").to_pylist() == [first >> 1 for first, _ in ids]


def test_the_rows_keep_their_documents_and_name_their_file() -> None:
    columns = {
        "doc": [7, 9],
        "id": ["a", "b"],
        "text": ["x", "y z"],
        "subset": ["s", "t"],
        "characters": [1, 3],
    }
    batch = compute_signatures(pa.RecordBatch.from_pydict(columns), 4, 5, NearDedupRecipe())
    kept = {name: batch.column(name).to_pylist() for name in ("doc", "subset", "characters", "part", "file")}
    assert kept == {"doc": [7, 9], "subset": ["s", "t"], "characters": [1, 3], "part": [4, 4], "file": [5, 5]}


def test_unrelated_texts_share_no_band(sentence: Callable[[random.Random, int], str]) -> None:
    generator = random.Random(5)
    keys = bands([sentence(generator, WORDS) for _ in range(1000)], NearDedupRecipe())
    assert len(np.unique(keys)) == keys.size


def test_documents_without_words_have_no_ngrams() -> None:
    batch = signatures_of(["...", "word", "\u0301", "one two three four five six"], NearDedupRecipe())
    assert batch.column("ngrams").to_pylist() == [0, 1, 0, 2]


def test_equal_texts_have_equal_hashes_and_other_texts_others() -> None:
    batch = signatures_of(["a b", "a b", "a c"], NearDedupRecipe())
    hashes = list(
        zip(batch.column("text_low").to_pylist(), batch.column("text_high").to_pylist(), strict=True)
    )
    assert hashes[0] == hashes[1] != hashes[2]
    assert len(set(batch.column("id_hash").to_pylist())) == 3


def test_another_seed_gives_other_minima_of_the_same_ngrams() -> None:
    one, other = (signatures_of(TEXTS[:2], NearDedupRecipe(seed=seed)) for seed in (1, 2))
    assert one.column("ngrams") == other.column("ngrams")
    assert one.column("minhash") != other.column("minhash")
