"""``python -m benchmarks.corpus.make_data --input SHARDS --output FOLDER --megabytes 1000 [--hot 0.1]``.

What `make bench-data` calls: a corpus of the wanted size out of real documents, for measurements of growth.
Each pass over the documents moves all Latin letters along the alphabet by one more, so that passes share no
words, while lengths, structure and the duplicates within one pass stay those of the real text. The same
arguments give the same bytes.
"""

from __future__ import annotations

import argparse
import itertools
import json
import string
from collections.abc import Iterator, Sequence
from pathlib import Path

from include.contracts.errors import InputError
from include.recipes.corpus import ReadRecipe
from spark_jobs import storage
from spark_jobs.readers.documents import ReadCounts, read_documents
from spark_jobs.readers.input_files import files_below, list_shards, raw_shard
from spark_jobs.readers.shards import ordered_shards

_SHARD_BYTES = 32_000_000
_PASSES = len(string.ascii_lowercase)


def main(argv: Sequence[str] | None = None) -> int:
    """0 when the shards are written; the last line is JSON."""
    parser = argparse.ArgumentParser(prog="benchmarks.corpus.make_data", description=__doc__)
    parser.add_argument("--input", required=True)
    parser.add_argument("--output", required=True, type=Path)
    parser.add_argument("--megabytes", required=True, type=float, help="of text, in bytes / 10^6")
    parser.add_argument("--first-pass", type=int, default=0, help="0 to 25: another one shares no words")
    parser.add_argument(
        "--hot", type=float, default=0.0, help="share of documents that begin with one and the same text"
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
    accepted, _ = list_shards(files_below(storage.absolute(source)))
    shards = ordered_shards([raw_shard(uri) for uri in accepted])
    for shift in range(first_pass, _PASSES):
        moved = {
            ord(letter): letters[(position + shift) % _PASSES]
            for letters in (string.ascii_lowercase, string.ascii_uppercase)
            for position, letter in enumerate(letters)
        }
        for shard in shards:
            for batch in read_documents(shard, ReadRecipe(), ReadCounts()):
                for text in batch.column("text").to_pylist():
                    yield text.translate(moved)
    raise InputError("too little text", where=source, expected="a 26th of the wanted bytes or more")


def _limited(texts: Iterator[str], text_bytes: float) -> Iterator[str]:
    for text in texts:
        if text_bytes <= 0:
            return
        text_bytes -= len(text.encode())
        yield text


def _with_hot(texts: Iterator[str], share: float) -> Iterator[str]:
    """Every so manieth document begins with the first one of some length, and ends with words of its own."""
    if not share:
        yield from texts
        return
    every = round(1 / share)
    common = next(text for text in texts if 4000 <= len(text) <= 8000)
    for number, text in enumerate(itertools.chain([common], texts)):
        yield f"{common}\n{text[:100]} {number}" if number % every == 0 else text


if __name__ == "__main__":
    raise SystemExit(main())
