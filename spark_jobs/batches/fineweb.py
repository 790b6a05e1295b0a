"""FineWeb's own rules, which it ran after Gopher's and C4's."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa

from include.contracts.documents import DropReason
from include.recipes.quality import FineWebRecipe
from spark_jobs.batches.rules import drop_broken
from spark_jobs.columns import buffers
from spark_jobs.kernels import fineweb
from spark_jobs.kernels.letters import letters


def keep_fineweb(batch: pa.RecordBatch, recipe: FineWebRecipe, dropped: Counter[str]) -> pa.RecordBatch:
    """The documents within FineWeb's bounds; the others counted in ``dropped``.

    Reasons in order: end marks, short lines, duplicate characters, line feeds per word.
    """
    if not recipe.enabled:
        return batch
    data, offsets = buffers(batch.column("text"))
    measures = fineweb.measure(data, offsets, letters(), recipe.short_line_length)
    punctuated = measures[:, fineweb.PUNCTUATED_LINE_SHARE]
    short = measures[:, fineweb.SHORT_LINE_SHARE]
    duplicate = measures[:, fineweb.DUPLICATE_CHARACTER_SHARE]
    line_feeds = measures[:, fineweb.LINE_FEED_RATIO]
    broken = {
        DropReason.FINEWEB_LINE_PUNCT_RATIO: punctuated <= recipe.min_punctuated_line_share,
        DropReason.FINEWEB_SHORT_LINE_RATIO: short >= recipe.min_short_line_share,
        DropReason.FINEWEB_CHAR_DUP_RATIO: duplicate >= recipe.min_duplicate_character_share,
    }
    if recipe.max_line_feed_ratio:
        broken[DropReason.FINEWEB_LIST_RATIO] = line_feeds > recipe.max_line_feed_ratio
    return drop_broken(batch, {reason.value: breaks for reason, breaks in broken.items()}, dropped)
