"""The task that encodes one file of documents, compares a sample of it, and counts what encoding loses."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.contracts.errors import NexusError
from include.object_store import STORE
from include.object_store.locations import join
from spark_jobs.corpus_version.layout import VersionLayout
from spark_jobs.runtime.columns import parquet_writer
from spark_jobs.tokens.encoding import Library, Losses, Tokens, encode, first_difference, refusing_panics
from spark_jobs.tokens.megatron import token_dtype
from spark_jobs.tokens.tokenizer import LoadedTokenizer

SEGMENT_SCHEMA = pa.schema([("id", pa.string()), ("tokens", pa.int32()), ("text_bytes", pa.int64())])

_BATCH_ROWS = 256
#: In each file this many documents are compared, and one more for every 512 documents. Of each document, a
#: window of this many characters is compared.
_COMPARED_DOCUMENTS, _COMPARED_ONE_IN, _COMPARED_CHARACTERS = 32, 512, 2_000
#: Moves the windows through the documents, so that not only their beginnings are compared.
_STRIDE = 7919


@dataclass(frozen=True)
class Segment:
    """Neighbouring documents of one subset within one file of documents, no more tokens than a shard.

    ``row`` and ``token`` say where they begin in the work files ``name``.parquet and ``name``.bin.
    """

    name: str
    subset: str
    row: int
    documents: int
    token: int
    tokens: int
    text_bytes: int


@dataclass(frozen=True)
class TokenisedFile:
    """The segments of one file of documents, in the order of subsets.

    ``dropped`` counts documents without any token of the vocabulary. ``difference`` names a text for which
    gigatoken gave other ids than Hugging Face; then nothing was written.
    """

    segments: tuple[Segment, ...]
    dropped: int = 0
    losses: Losses = field(default_factory=Losses)
    difference: str = ""


@dataclass
class _Subset:
    """Documents of one subset."""

    ids: list[str] = field(default_factory=list)
    tokens: list[Tokens] = field(default_factory=list)
    text_bytes: list[int] = field(default_factory=list)


def tokenise_file(
    layout: VersionLayout, tokenizer: LoadedTokenizer, library: Library, shard_tokens: int, uri: str
) -> TokenisedFile:
    """Encode one file of documents into one ``.bin`` and one ``.parquet`` file, by subset and id."""
    dtype = token_dtype(tokenizer.vocabulary_size)
    subsets: dict[str, _Subset] = defaultdict(_Subset)
    dropped, losses = 0, Losses()
    with STORE.local_copy(uri) as path, pq.ParquetFile(path) as file:
        compared = sampled_rows(file.metadata.num_rows) if library is Library.GIGATOKEN else np.empty(0, int)
        row = 0
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=["id", "text", "subset"]):
            texts = batch.column("text")
            windows = _windows(texts, compared[(compared >= row) & (compared < row + len(texts))] - row)
            row += len(texts)
            try:
                with refusing_panics():
                    if difference := first_difference(tokenizer, windows) if windows else "":
                        return TokenisedFile((), difference=difference)
                    encoded, lost = encode(tokenizer, library, texts, dtype)
            except NexusError:
                raise
            except Exception as error:  # the package raises bare exceptions
                if library is Library.TOKENIZERS:
                    raise
                return TokenisedFile((), difference=f"gigatoken fails ({type(error).__name__}: {error})")
            losses = losses.plus(lost)
            dropped += _add_documents(subsets, batch, encoded, tokenizer.unknown_id)
    name = re.sub(r"\.parquet$", "", layout.relative(uri)).replace("/", "-")
    _write(join(layout.work_tokens, name), [subsets[subset] for subset in sorted(subsets)])
    return TokenisedFile(tuple(_segments(name, subsets, shard_tokens)), dropped, losses)


def sampled_rows(rows: int) -> npt.NDArray[np.int64]:
    """Return the rows of a file that are compared, from its first to its last one."""
    count = min(rows, _COMPARED_DOCUMENTS + rows // _COMPARED_ONE_IN)
    return np.unique(np.linspace(0, max(rows - 1, 0), count).round().astype(np.int64))


def _windows(texts: pa.StringArray, rows: npt.NDArray[np.int64]) -> list[str]:
    windows = []
    for row in rows.tolist():
        text = texts[row].as_py()
        first = (_STRIDE * (row + 1)) % max(1, len(text) - _COMPARED_CHARACTERS + 1)
        windows.append(text[first : first + _COMPARED_CHARACTERS])
    return windows


def _add_documents(
    subsets: dict[str, _Subset], batch: pa.RecordBatch, encoded: Sequence[Tokens], unknown_id: int | None
) -> int:
    """Add the documents that have a token of the vocabulary to their subsets; return how many have none."""
    dropped = 0
    text_bytes = pc.binary_length(batch.column("text")).to_pylist()
    columns = (batch.column("id").to_pylist(), batch.column("subset").to_pylist(), text_bytes, encoded)
    for identifier, name, size, tokens in zip(*columns, strict=True):
        if not _has_known_token(tokens, unknown_id):
            dropped += 1
            continue
        subset = subsets[name]
        subset.ids.append(identifier)
        subset.tokens.append(tokens)
        subset.text_bytes.append(size)
    return dropped


def _has_known_token(tokens: Any, unknown_id: int | None) -> bool:
    """Return True if a token before the last one, which ends the document, is of the vocabulary."""
    if len(tokens) < 2:
        return False
    return unknown_id is None or bool((tokens[:-1] != unknown_id).any())


def _write(target: str, subsets: Sequence[_Subset]) -> None:
    with STORE.publish(f"{target}.bin") as path, path.open("wb") as content:
        for subset in subsets:
            for tokens in subset.tokens:
                content.write(tokens.tobytes())
    columns = [
        pa.array([identifier for subset in subsets for identifier in subset.ids], pa.string()),
        pa.array([len(tokens) for subset in subsets for tokens in subset.tokens], pa.int32()),
        pa.array([size for subset in subsets for size in subset.text_bytes], pa.int64()),
    ]
    with STORE.publish(f"{target}.parquet") as path, parquet_writer(path, SEGMENT_SCHEMA) as writer:
        writer.write_table(pa.table(columns, schema=SEGMENT_SCHEMA))


def _segments(name: str, subsets: dict[str, _Subset], shard_tokens: int) -> list[Segment]:
    segments: list[Segment] = []
    row = token = 0
    for subset in sorted(subsets):
        lengths = [len(tokens) for tokens in subsets[subset].tokens]
        for documents, count, text_bytes in _cut(lengths, subsets[subset].text_bytes, shard_tokens):
            segments.append(Segment(name, subset, row, documents, token, count, text_bytes))
            row, token = row + documents, token + count
    return segments


def _cut(lengths: Sequence[int], sizes: Sequence[int], shard_tokens: int) -> list[tuple[int, int, int]]:
    """Return (documents, tokens, text bytes) of segments of up to ``shard_tokens`` or one document."""
    segments: list[tuple[int, int, int]] = []
    documents = tokens = text_bytes = 0
    for length, size in zip(lengths, sizes, strict=True):
        if documents and tokens + length > shard_tokens:
            segments.append((documents, tokens, text_bytes))
            documents = tokens = text_bytes = 0
        documents, tokens, text_bytes = documents + 1, tokens + length, text_bytes + size
    return [*segments, (documents, tokens, text_bytes)]
