"""Gopher's rules, repetition before quality, in the order in which FineWeb ran datatrove's two filters."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from include.contracts.documents import DropReason
from include.recipes.quality import GopherRecipe
from spark_jobs.filters import gopher_measures as gopher
from spark_jobs.filters.drops import above, below, drop_violations
from spark_jobs.kernels.letters import letters
from spark_jobs.kernels.word_rules import word_rule
from spark_jobs.runtime.columns import buffers

_Violations = dict[str, npt.NDArray[np.bool_]]


def keep_gopher(batch: pa.RecordBatch, recipe: GopherRecipe, dropped: Counter[str]) -> pa.RecordBatch:
    """Return the documents within all of Gopher's bounds; count the others in ``dropped``.

    Reasons in order: paragraphs, lines, top n-grams, duplicate n-grams; then length, word length, symbols,
    bullets, ellipsis lines, alphabetic words, stop words.
    """
    if not recipe.enabled:
        return batch
    bounds = _repetition_bounds(recipe)
    maxima = gopher.NO_MAXIMA.copy()
    for column, bound in bounds.values():
        maxima[column] = bound or np.inf
    measures = gopher.measure(*buffers(batch.column("text")), letters(), word_rule(recipe.words), maxima)
    repetition = {
        reason.value: above(measures[:, column], bound) for reason, (column, bound) in bounds.items()
    }
    return drop_violations(batch, repetition | _quality(measures, recipe), dropped)


def _repetition_bounds(recipe: GopherRecipe) -> dict[DropReason, tuple[int, float]]:
    """Return the column of the measure and its maximum, 0 for none, of each rule on repetition in order."""
    bounds = {
        DropReason.GOPHER_DUP_PARA_FRAC: (
            gopher.DUPLICATE_PARAGRAPH_SHARE,
            recipe.max_duplicate_paragraph_share,
        ),
        DropReason.GOPHER_DUP_PARA_CHAR_FRAC: (
            gopher.DUPLICATE_PARAGRAPH_CHARACTER_SHARE,
            recipe.max_duplicate_paragraph_character_share,
        ),
        DropReason.GOPHER_DUP_LINE_FRAC: (gopher.DUPLICATE_LINE_SHARE, recipe.max_duplicate_line_share),
        DropReason.GOPHER_DUP_LINE_CHAR_FRAC: (
            gopher.DUPLICATE_LINE_CHARACTER_SHARE,
            recipe.max_duplicate_line_character_share,
        ),
    }
    for n, bound in zip(gopher.TOP_NGRAMS, recipe.max_top_ngram_shares, strict=True):
        bounds[DropReason(f"gopher_top_{n}_gram")] = gopher.ngram_share(n), bound
    for n, bound in zip(gopher.DUPLICATE_NGRAMS, recipe.max_duplicate_ngram_shares, strict=True):
        bounds[DropReason(f"gopher_duplicated_{n}_n_grams")] = gopher.ngram_share(n), bound
    return bounds


def _quality(measures: npt.NDArray[np.float64], recipe: GopherRecipe) -> _Violations:
    words, word_length = measures[:, gopher.WORDS], measures[:, gopher.MEAN_WORD_LENGTH]
    hashes, ellipses = measures[:, gopher.HASH_RATIO], measures[:, gopher.ELLIPSIS_RATIO]
    bullets, ellipsis_lines = measures[:, gopher.BULLET_LINE_SHARE], measures[:, gopher.ELLIPSIS_LINE_SHARE]
    alphabetic = measures[:, gopher.ALPHABETIC_WORD_SHARE]
    return {
        DropReason.GOPHER_SHORT_DOC: below(words, recipe.min_words),
        DropReason.GOPHER_LONG_DOC: above(words, recipe.max_words),
        DropReason.GOPHER_BELOW_AVG_THRESHOLD: below(word_length, recipe.min_mean_word_length),
        DropReason.GOPHER_ABOVE_AVG_THRESHOLD: above(word_length, recipe.max_mean_word_length),
        DropReason.GOPHER_TOO_MANY_HASHES: above(hashes, recipe.max_symbol_word_ratio),
        DropReason.GOPHER_TOO_MANY_ELLIPSIS: above(ellipses, recipe.max_symbol_word_ratio),
        DropReason.GOPHER_TOO_MANY_BULLETS: above(bullets, recipe.max_bullet_line_share),
        DropReason.GOPHER_TOO_MANY_END_ELLIPSIS: above(ellipsis_lines, recipe.max_ellipsis_line_share),
        DropReason.GOPHER_BELOW_ALPHA_THRESHOLD: below(alphabetic, recipe.min_alphabetic_word_share),
        DropReason.GOPHER_ENOUGH_STOP_WORDS: below(measures[:, gopher.STOP_WORDS], recipe.min_stop_words),
    }
