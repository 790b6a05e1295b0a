"""Filters: each is a bound of the recipe on one measure; the first that a document breaks is its reason."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa

from include.contracts.documents import DropReason
from include.recipes.corpus import FilterRecipe
from spark_jobs.batches.rules import drop_broken
from spark_jobs.columns import buffers
from spark_jobs.kernels import quality, unicode_tables


def keep_good(batch: pa.RecordBatch, recipe: FilterRecipe, dropped: Counter[str]) -> pa.RecordBatch:
    """The documents within all bounds, with a column ``characters``; the others counted in ``dropped``."""
    data, offsets = buffers(batch.column("text"))
    measures = quality.measure(data, offsets, unicode_tables.classes())
    characters = measures[:, quality.CHARACTERS]
    repeated_lines = measures[:, quality.DUPLICATE_LINE_SHARE] > recipe.max_duplicate_line_share
    repeated_words = measures[:, quality.TOP_BIGRAM_SHARE] > recipe.max_top_bigram_share
    broken = {
        DropReason.TOO_SHORT.value: characters < recipe.min_characters,
        DropReason.TOO_LONG.value: characters > recipe.max_characters,
        DropReason.SYMBOLS.value: measures[:, quality.SYMBOL_SHARE] > recipe.max_symbol_share,
        DropReason.REPETITION.value: repeated_lines | repeated_words,
    }
    batch = batch.append_column("characters", pa.array(characters.astype(np.int64)))
    return drop_broken(batch, broken, dropped)
