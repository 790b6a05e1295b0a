"""Measure tokenisation by our engine, by Hugging Face and by tiktoken (`make bench-tokenize`).

python -m benchmarks.corpus.tokenise --input SHARDS --tokenizer tokenizer.json --output FOLDER

The three encode the same documents one after the other, each with one process per core: ours from Arrow
batches to a ``.bin``, Hugging Face by ``encode_batch_fast``. Writing the tokens is measured; reading the
shards and loading the tokenizer are not. Prints a table and one JSON line. Our ids are compared with Hugging
Face's, document by document.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.object_store import STORE
from include.recipes.corpus import ReadRecipe
from spark_jobs.readers.counts import ReadCounts
from spark_jobs.readers.documents import read_documents
from spark_jobs.readers.input_files import inputs_of, raw_shard
from spark_jobs.readers.shards import ordered_shards
from spark_jobs.tokens.encoding import Library, choose_library, encode
from spark_jobs.tokens.examination import examine
from spark_jobs.tokens.megatron import token_dtype
from spark_jobs.tokens.tokenizer import LoadedTokenizer
from spark_jobs.tokens.vocabulary import byte_letters

_ROWS = 1024
#: Hugging Face and tiktoken are measured on a part of the documents, because they are slow.
_PEER_BYTES = 40_000_000
_COMPARED_BYTES = 20_000_000

_SETTLE_SECONDS = 1.0


class Way(Protocol):
    """A tokeniser under measurement: encodes documents into a file."""

    def warm(self) -> None:
        """Load the tokenizer of this process."""

    def write(self, texts: pa.Array, target: Path) -> None:
        """Encode all documents into one file."""


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 if every compared document has the same ids as by Hugging Face."""
    parser = argparse.ArgumentParser(prog="benchmarks.corpus.tokenise", description=__doc__)
    parser.add_argument("--input", required=True)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--end-of-text", default="<|endoftext|>")
    parser.add_argument("--output", required=True, type=Path)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args(argv)
    content = STORE.read(arguments.tokenizer)
    tokenizer = examine(content, arguments.end_of_text, arguments.tokenizer)
    texts = _documents(arguments.input)
    choice = choose_library(tokenizer)
    # each process must use one core: the processes are the only parallelism
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    parts = [
        texts.take(list(range(start, len(texts), arguments.processes)))
        for start in range(arguments.processes)
    ]
    arguments.output.mkdir(parents=True, exist_ok=True)
    ways: dict[str, tuple[Way, int]] = {
        "ours": (_Ours(tokenizer, choice.library), sys.maxsize),
        "encode_batch_fast": (_Ours(tokenizer, Library.TOKENIZERS), _PEER_BYTES),
    }
    if _is_gpt2_like(tokenizer):
        ways["tiktoken"] = (_Tiktoken(tokenizer), _PEER_BYTES)
    else:
        print("tiktoken            left out: the tokenizer does not split text as GPT-2 does", flush=True)
    result: dict[str, Any] = {"library": choice.library.value, "processes": arguments.processes}
    for name, (way, limit) in ways.items():
        result[name] = _measure(way, [_first(part, limit // len(parts)) for part in parts], arguments.output)
        rate = result[name]["mb_per_second_per_core"]
        print(f"{name:<20}{rate:>8.1f} MB/s a core", flush=True)
    result["times_encode_batch_fast"] = round(
        result["ours"]["mb_per_second_per_core"] / result["encode_batch_fast"]["mb_per_second_per_core"], 1
    )
    sample = _first(texts, _COMPARED_BYTES)
    result["compared_documents"] = len(sample)
    result["documents_with_other_ids"] = _differences(tokenizer, choice.library, sample)
    print(json.dumps(result))
    return 1 if result["documents_with_other_ids"] else 0


def _documents(source: str) -> pa.LargeStringArray:
    shards = ordered_shards([raw_shard(uri) for uri in inputs_of(source).accepted])
    columns = [
        batch.column("text")
        for shard in shards
        for batch in read_documents(shard, ReadRecipe(), ReadCounts())
    ]
    return pa.chunked_array(columns, pa.string()).combine_chunks().cast(pa.large_string())


def _first(texts: pa.Array, limit_bytes: int) -> pa.Array:
    """Return the first documents, up to a size in bytes."""
    sizes = pc.cumulative_sum(pc.binary_length(texts))
    return texts.slice(0, max(1, pc.sum(pc.less_equal(sizes, limit_bytes)).as_py() or 1))


class _Ours:
    """The tokenise job's own code, with either library."""

    def __init__(self, tokenizer: LoadedTokenizer, library: Library) -> None:
        self._tokenizer, self._library = tokenizer, library

    def write(self, texts: pa.Array, target: Path) -> None:
        """See Way."""
        dtype = token_dtype(self._tokenizer.vocabulary_size)
        with target.open("wb") as file:
            for start in range(0, len(texts), _ROWS):
                batch = texts.slice(start, _ROWS).cast(pa.string())
                for ids in encode(self._tokenizer, self._library, batch, dtype)[0]:
                    file.write(ids.tobytes())

    def warm(self) -> None:
        """See Way."""
        encode(self._tokenizer, self._library, pa.array(["warm"]), "int32")


class _Tiktoken:
    """tiktoken with the same vocabulary and GPT-2's pattern. Its ids are not compared."""

    def __init__(self, tokenizer: LoadedTokenizer) -> None:
        self._vocabulary = json.loads(tokenizer.content)["model"]["vocab"]
        self._dtype = token_dtype(tokenizer.vocabulary_size)
        self._encoding: Any = None

    def warm(self) -> None:
        """See Way."""
        import tiktoken

        if self._encoding is not None:
            return

        letters = {letter: byte for byte, letter in byte_letters().items()}
        ranks = {}
        for token, rank in self._vocabulary.items():
            if all(letter in letters for letter in token):
                ranks[bytes(letters[letter] for letter in token)] = rank
        pattern = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
        self._encoding = tiktoken.Encoding("bench", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})

    def write(self, texts: pa.Array, target: Path) -> None:
        """See Way."""
        with target.open("wb") as file:
            for text in texts.to_pylist():
                file.write(np.array(self._encoding.encode_ordinary(text), self._dtype).tobytes())


def _is_gpt2_like(tokenizer: LoadedTokenizer) -> bool:
    """Return True if the tokenizer splits text as GPT-2 does: the same byte alphabet and pattern."""
    plain = json.loads(tokenizer.content).get("pre_tokenizer") or {}
    return plain.get("type") == "ByteLevel" and plain.get("use_regex", True)


def _measure(way: Way, parts: Sequence[pa.Array], output: Path) -> dict[str, float]:
    """Measure the MB/s per core of ``way`` over ``parts``, one process each; the slowest process counts."""
    context = multiprocessing.get_context("spawn")
    processes = len(parts)
    with ProcessPoolExecutor(processes, mp_context=context, initializer=way.warm) as pool:
        list(
            pool.map(time.sleep, [_SETTLE_SECONDS] * processes)
        )  # wait until every process has started and loaded its tokenizer
        targets = [output / f"part-{i}.bin" for i in range(processes)]
        seconds = max(pool.map(_run, [way] * processes, parts, targets))
    size = sum(pc.sum(pc.binary_length(part)).as_py() for part in parts)
    return {
        "megabytes": round(size / 1e6, 1),
        "seconds": round(seconds, 3),
        "mb_per_second_per_core": round(size / 1e6 / seconds / processes, 2),
    }


def _run(way: Way, texts: pa.Array, target: Path) -> float:
    way.warm()
    started = time.monotonic()
    way.write(texts, target)
    return time.monotonic() - started


def _differences(tokenizer: LoadedTokenizer, library: Library, texts: pa.Array) -> int:
    batch = texts.cast(pa.string())
    pairs = zip(
        encode(tokenizer, library, batch, "int32")[0],
        encode(tokenizer, Library.TOKENIZERS, batch, "int32")[0],
        strict=True,
    )
    return sum(ours.tolist() != theirs.tolist() for ours, theirs in pairs)


if __name__ == "__main__":
    raise SystemExit(main())
