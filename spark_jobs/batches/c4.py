"""C4's rules: lines go, and pages of which too little is left."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa

from include.contracts.documents import DropReason
from include.recipes.quality import C4Recipe
from spark_jobs.batches.rules import drop_broken
from spark_jobs.columns import buffers, strings
from spark_jobs.kernels import c4
from spark_jobs.kernels.letters import letters


def rewrite_c4(batch: pa.RecordBatch, recipe: C4Recipe, dropped: Counter[str]) -> pa.RecordBatch:
    """The batch with the lines in ``text`` that C4 keeps, without the documents counted in ``dropped``.

    The reason is the first that a line gives from the top, or at the end too few sentences.
    """
    if not recipe.enabled:
        return batch
    rules = c4.LineRules(
        recipe.min_words_per_line,
        recipe.max_word_length,
        recipe.filter_no_terminal_punct,
        recipe.filter_curly_bracket,
    )
    data, offsets = buffers(batch.column("text"))
    new_data, new_offsets, verdicts = c4.rewrite(data, offsets, letters(), rules, recipe.min_num_sentences)
    batch = batch.set_column(batch.schema.get_field_index("text"), "text", strings(new_data, new_offsets))
    broken = {
        DropReason.C4_LOREM_IPSUM.value: verdicts == c4.LOREM_IPSUM,
        DropReason.C4_CURLY_BRACKET.value: verdicts == c4.CURLY_BRACKET,
        DropReason.C4_TOO_FEW_SENTENCES.value: verdicts == c4.TOO_FEW_SENTENCES,
    }
    return drop_broken(batch, broken, dropped)
