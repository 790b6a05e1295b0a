"""Make a corpus of a given size out of real documents, to measure growth (`make bench-data`).

python -m benchmarks.corpus.make_data --input SHARDS --output FOLDER --megabytes 1000 [--hot 0.1]

The documents are repeated in passes. Each pass replaces every Latin letter by another one (an affine cipher
with a different key), so that passes share no words, while lengths, structure and the duplicates within a
pass stay those of the real text. The same arguments give the same bytes.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import string
from collections.abc import Iterator, Sequence
from pathlib import Path

from include.contracts.errors import InputError
from include.object_store.locations import absolute
from include.recipes.corpus import ReadRecipe
from spark_jobs.readers.counts import ReadCounts
from spark_jobs.readers.documents import read_documents
from spark_jobs.readers.input_files import inputs_of, raw_shard
from spark_jobs.readers.shards import ordered_shards

_SHARD_BYTES = 32_000_000
_LETTERS = len(string.ascii_lowercase)
_FACTORS = [factor for factor in range(_LETTERS) if math.gcd(factor, _LETTERS) == 1]
_PASSES = _LETTERS * len(_FACTORS)


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 if the shards are written. The last line of the output is JSON."""
    parser = argparse.ArgumentParser(prog="benchmarks.corpus.make_data", description=__doc__)
    parser.add_argument("--input", required=True)
    parser.add_argument("--output", required=True, type=Path)
    parser.add_argument(
        "--megabytes", required=True, type=float, help="size of the text in megabytes (10^6 bytes)"
    )
    parser.add_argument(
        "--first-pass",
        type=int,
        default=0,
        help=f"number of the first pass, 0 to {_PASSES - 1}; other passes share no words with it",
    )
    parser.add_argument(
        "--hot", type=float, default=0.0, help="share of documents that begin with the same text"
    )
    arguments = parser.parse_args(argv)
    if arguments.output.exists():
        raise InputError("the folder exists", where=str(arguments.output), remedy="give another OUTPUT")
    arguments.output.mkdir(parents=True)
    texts = _limited(_documents(arguments.input, arguments.first_pass), arguments.megabytes * 1e6)
    documents = written = 0
    for text in _with_hot(texts, arguments.hot):
        path = arguments.output / f"bench-{written // _SHARD_BYTES:04d}.jsonl"
        with path.open("a") as shard:
            shard.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
        documents += 1
        written += len(text.encode())
    print(json.dumps({"documents": documents, "text_bytes": written, "output": str(arguments.output)}))
    return 0


def _documents(source: str, first_pass: int) -> Iterator[str]:
    accepted = inputs_of(absolute(source)).accepted
    shards = ordered_shards([raw_shard(uri) for uri in accepted])
    for number in range(first_pass, _PASSES):
        replaced = letters_of_pass(number)
        for shard in shards:
            for batch in read_documents(shard, ReadRecipe(), ReadCounts()):
                for text in batch.column("text").to_pylist():
                    yield text.translate(replaced)
    expected = f"at least a {_PASSES}th of the requested bytes"
    raise InputError("too little text", where=source, expected=expected, remedy="give a larger INPUT")


def letters_of_pass(number: int) -> dict[int, str]:
    """Return a pass's permutation of the letters, as a table of ``str.translate``."""
    factor, shift = _FACTORS[number // _LETTERS], number % _LETTERS
    return {
        ord(letter): letters[(position * factor + shift) % _LETTERS]
        for letters in (string.ascii_lowercase, string.ascii_uppercase)
        for position, letter in enumerate(letters)
    }


def _limited(texts: Iterator[str], text_bytes: float) -> Iterator[str]:
    for text in texts:
        if text_bytes <= 0:
            return
        text_bytes -= len(text.encode())
        yield text


def _with_hot(texts: Iterator[str], share: float) -> Iterator[str]:
    """Give a share of the documents the same beginning, and each of them a different ending."""
    if not share:
        yield from texts
        return
    every = round(1 / share)
    common = next(text for text in texts if 4000 <= len(text) <= 8000)
    for number, text in enumerate(itertools.chain([common], texts)):
        yield f"{common}\n{text[:100]} {number}" if number % every == 0 else text


if __name__ == "__main__":
    raise SystemExit(main())
