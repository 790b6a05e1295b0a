"""The tokenizer of a corpus version: adopted from its base, given by the recipe, or trained on a sample."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from include.contracts.errors import ContractError, InputError
from include.contracts.manifests import CorpusRequest, FileEntry
from include.object_store import STORE
from include.object_store.locations import join
from include.object_store.verification import content_entry
from include.recipes.corpus import CorpusRecipe
from spark_jobs.corpus_version.base import Base, adopt, load_base
from spark_jobs.corpus_version.layout import VersionLayout
from spark_jobs.dedup.output import OutputPart
from spark_jobs.kernels import hashing
from spark_jobs.runtime import progress
from spark_jobs.runtime.columns import buffers
from spark_jobs.tokens.examination import examine, examine_recipe
from spark_jobs.tokens.tokenizer import LoadedTokenizer, train_tokenizer, transformers_files

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: The sample is drawn a little too large and then cut, because texts differ in length.
_SAMPLE_MARGIN = 1.2
_FILE = "tokenizer.json"


def examine_tokenizer(request: CorpusRequest, recipe: CorpusRecipe) -> tuple[str, ...]:
    """Examine the tokenizer of a version before any work, and return notes for people.

    Raises InputError or ContractError, in one line, if the tokens would be wrong.
    """
    if base := load_base(request):
        return _of_base(base, recipe).notes
    return examine_recipe(recipe.tokenizer)


def base_tokenizer(
    base: Base, recipe: CorpusRecipe, layout: VersionLayout
) -> tuple[LoadedTokenizer, list[FileEntry]]:
    """Adopt the tokenizer of the base with its tokens: tokens of a version are of one tokenizer."""
    tokenizer = _of_base(base, recipe)
    return tokenizer, adopt(layout, base, layout.tokens, layout.held_out_tokens, layout.tokenizer)


def _of_base(base: Base, recipe: CorpusRecipe) -> LoadedTokenizer:
    uri = join(base.layout.tokenizer, _FILE)
    content = STORE.read(uri)
    wanted = recipe.tokenizer.uri
    if wanted and STORE.read(wanted) != content:
        raise ContractError(
            "not the tokenizer of the base",
            where=wanted,
            expected="the bytes that the base was tokenised with",
            remedy="give that tokenizer, or build the corpus without the base",
        )
    return examine(content, recipe.tokenizer.end_of_text, uri)


def new_tokenizer(
    spark: SparkSession, recipe: CorpusRecipe, layout: VersionLayout, outputs: Sequence[OutputPart]
) -> tuple[LoadedTokenizer, list[FileEntry]]:
    """Write the given tokenizer, or one that is trained on the kept documents, into the version."""
    wanted = recipe.tokenizer
    if not any(output.documents for output in outputs):
        raise InputError(
            "no document is left to train on",
            where=layout.root,
            remedy="see the stage reports for what was dropped, then change the shards or the recipe",
        )
    content = STORE.read(wanted.uri) if wanted.uri else _train(spark, recipe, layout, outputs)
    tokenizer = examine(content, wanted.end_of_text, wanted.uri or "the trained tokenizer")
    files = {_FILE: content, **transformers_files(wanted.end_of_text)}
    entries = []
    for name, file_content in sorted(files.items()):
        uri = join(layout.tokenizer, name)
        STORE.write(uri, file_content)
        entries.append(content_entry(file_content, layout.relative(uri)))
    return tokenizer, entries


def _train(
    spark: SparkSession, recipe: CorpusRecipe, layout: VersionLayout, outputs: Sequence[OutputPart]
) -> bytes:
    limit = recipe.tokenizer.max_training_bytes
    share = min(1.0, _SAMPLE_MARGIN * limit / sum(output.text_bytes for output in outputs))
    names = [
        PurePosixPath(file.path).name
        for output in outputs
        for file in output.files
        if file.path.startswith(layout.relative(layout.documents))
    ]
    sampled = progress.run_tasks(spark, "tokenizer", "files", partial(sample_texts, layout, share), names)
    return train_tokenizer(
        first_bytes((text for texts in sampled for text in texts), limit), recipe.tokenizer
    )


def sample_texts(layout: VersionLayout, share: float, name: str) -> list[tuple[int, str]]:
    """Return hash and text of the documents of one file whose hash of the id is within ``share``."""
    sampled: list[tuple[int, str]] = []
    with (
        STORE.local_copy(join(layout.documents, name)) as path,
        pq.ParquetFile(path) as file,
    ):
        for batch in file.iter_batches(batch_size=1024, columns=["id", "text"]):
            hashes = np.empty((batch.num_rows, 2), np.uint64)
            hashing.hash128(*buffers(batch.column("id")), hashes)
            # the low half decides what is held out; the high half is independent of it
            chosen = hashes[:, 1] <= np.uint64(min(share, 1.0) * (2**64 - 2048))
            texts = batch.column("text").filter(pa.array(chosen)).to_pylist()
            sampled.extend(zip(hashes[chosen, 1].tolist(), texts, strict=True))
    return sampled


def first_bytes(sampled: Iterable[tuple[int, str]], limit_bytes: int) -> list[str]:
    """Return texts in the order of their hashes up to a total size. The last one is cut to fit."""
    texts: list[str] = []
    left = limit_bytes
    for _, text in sorted(sampled):
        size = len(text.encode())
        texts.append(text if size <= left else text.encode()[:left].decode(errors="ignore"))
        left -= size
        if left <= 0:
            break
    return texts
